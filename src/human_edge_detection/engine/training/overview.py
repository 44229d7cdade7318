"""results.csv and progress.png of a run: what metrics.jsonl says, for a spreadsheet and for the eye."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Mapping, Sequence

from human_edge_detection.engine.evaluation.visualize import encode_png
from human_edge_detection.engine.training.progress_figure import draw_progress
from human_edge_detection.errors import StorageError
from human_edge_detection.files.write import delete, write_atomically
from human_edge_detection.runs.paths import RunPaths

logger = logging.getLogger(__name__)


def write_overview(paths: RunPaths, history: Sequence[Mapping[str, object]]) -> None:
    """Replaces both files by what ``history`` says, so that no epoch is in them twice or missing.

    They are for looking at: one that cannot be written is a warning.

    Args:
        paths: The run.
        history: One record for each epoch; without any, earlier files go.
    """
    try:
        if not history:  # gone back to within the first epoch
            delete(paths.results)
            delete(paths.progress)
            return
        write_atomically(paths.results, to_csv(history).encode())
        write_atomically(paths.progress, encode_png(draw_progress(history)))
    except StorageError as error:
        logger.warning("%s; training goes on", error)


def to_csv(history: Sequence[Mapping[str, object]]) -> str:
    """One row an epoch; a field that an epoch has not, or that is not finite, is empty."""
    columns = list(dict.fromkeys(name for record in history for name in record))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for record in history:
        writer.writerow([_cell(record.get(name)) for name in columns])
    return buffer.getvalue()


def _cell(value: object) -> object:
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
