"""An export with all that belongs to it: the ONNX files, the parity report and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from human_edge_detection.exporters.onnx import Export
    from human_edge_detection.files.data_folder import SplitPaths


def export_with_card(
    checkpoint: Path,
    *,
    output: Path | None = None,
    data: SplitPaths | None = None,
    min_score: float | None = None,
    max_persons: int | None = None,
    compared: bool = False,
) -> Export:
    """Exports ``checkpoint``, see :func:`~human_edge_detection.exporters.onnx.export_checkpoint`; writes its card.

    Args:
        checkpoint: A ``.pth`` of this tool.
        output: The ONNX file; None: beside the checkpoint.
        data: Validation data; None: those of the checkpoint's config.
        min_score: Of the file that finds the persons itself; None: as in the config.
        max_persons: Likewise.
        compared: Also say what distillation brought, against the runs beside this one, all of which are read.

    Raises:
        HumanEdgeDetectionError: As ``export_checkpoint`` does.
    """
    from functools import cache

    from human_edge_detection.exporters.onnx import export_checkpoint
    from human_edge_detection.runner.model_card.facts import Facts, facts_of
    from human_edge_detection.runner.model_card.gain import controls_in
    from human_edge_detection.runner.model_card.metadata import metadata_of
    from human_edge_detection.runner.model_card.write import write_card
    from human_edge_detection.runs.paths import output_dir_of, run_paths_of_checkpoint

    run = run_paths_of_checkpoint(checkpoint)

    @cache
    def facts() -> Facts:
        return facts_of(checkpoint, controls_in(output_dir_of(run)) if compared and run.config.is_file() else None)

    exported = export_checkpoint(
        checkpoint,
        output=output,
        data=data,
        min_score=min_score,
        max_persons=max_persons,
        about=lambda: metadata_of(facts()),
    )
    destination, report = exported
    own = destination.parity == run.parity
    write_card(facts(), destination.onnx, report, run if own else None)
    return exported
