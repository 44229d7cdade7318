"""An export with all that belongs to it: the files, the parity report and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from human_edge_detection.exporters.formats.names import FormatName
    from human_edge_detection.exporters.onnx import Export
    from human_edge_detection.files.data_folder import SplitPaths


def export_with_card(
    checkpoint: Path,
    *,
    output: Path | None = None,
    data: SplitPaths | None = None,
    min_score: float | None = None,
    max_persons: int | None = None,
    format: FormatName = "onnx",
    compared: bool = False,
) -> Export:
    """Exports ``checkpoint``, see :class:`~human_edge_detection.exporters.formats.format.Format`; writes its card.

    The card is of the ONNX files; files of other formats say the same in their metadata.

    Args:
        checkpoint: A ``.pth`` of this tool.
        output: The file; None: beside the checkpoint.
        data: Validation data; None: those of the checkpoint's config.
        min_score: Of the file that finds the persons itself; None: as in the config.
        max_persons: Likewise.
        format: One of ``FORMAT_NAMES``.
        compared: Also say what distillation brought, against the runs beside this one, all of which are read.

    Raises:
        HumanEdgeDetectionError: As the format's ``export`` does.
    """
    from functools import cache

    from human_edge_detection.exporters.formats.format import Request
    from human_edge_detection.exporters.formats.table import FORMATS
    from human_edge_detection.runner.model_card.facts import Facts, facts_of
    from human_edge_detection.runner.model_card.gain import controls_in
    from human_edge_detection.runner.model_card.metadata import metadata_of
    from human_edge_detection.runner.model_card.write import write_card
    from human_edge_detection.runs.paths import output_dir_of, run_paths_of_checkpoint

    run = run_paths_of_checkpoint(checkpoint)

    @cache
    def facts() -> Facts:
        return facts_of(checkpoint, controls_in(output_dir_of(run)) if compared and run.config.is_file() else None)

    request = Request(checkpoint, output, data, min_score, max_persons, about=lambda: metadata_of(facts()))
    exported = FORMATS[format].export(request)
    if format != "onnx":
        return exported
    destination, report = exported
    own = destination.parity == run.parity
    write_card(facts(), destination.onnx, report, run if own else None)
    return exported
