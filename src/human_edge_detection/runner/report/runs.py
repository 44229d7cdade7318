"""The runs of a folder as the page knows them, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, TypeAdapter

from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.strict_json import MAX_BYTES
from human_edge_detection.runner.comparison.table import Record, Row, comparison_rows, read_records, with_extra
from human_edge_detection.runner.comparison.telling import ENDED_WELL, STILL_OPEN, telling_rows
from human_edge_detection.runner.report import formats
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runs.paths import RUNS_FILE

MOST_ROWS: Final = 500
"""Of runs in a page; a browser sorts and filters as many at once."""
MOST_DETAILED: Final = 40
"""Of runs that have curves, settings and dots, and of methods that are compared."""
_TONES: Final = dict.fromkeys(ENDED_WELL, "good") | dict.fromkeys(STILL_OPEN, "open")


@dataclass(frozen=True)
class Run:
    """One run of the page.

    Attributes:
        number: From 0, which its colour and its marks follow from.
        name: Below the output folder, fit to be shown.
        record: What its folder says.
        row: Its row of the comparison.
    """

    number: int
    name: str
    record: Record
    row: Row

    @property
    def method(self) -> str:
        """Its folder, without the seed where there are several."""
        folder, _, last = self.name.rpartition("/")
        return folder if last.startswith("seed_") and folder else self.name

    @property
    def finished(self) -> bool:
        """Whether it has scores to show."""
        return self.record.result is not None and self.record.config is not None

    @property
    def tone(self) -> str:
        """How its state is to be taken: ``good``, ``open`` or ``bad``."""
        return _TONES.get(self.row["status"], "bad")


class _Told(BaseModel):
    """What the last batch wrote down of a run."""

    run: str
    folder: str
    status: str
    error: str | None
    updated: str | None


_TOLD: Final[TypeAdapter[list[_Told]]] = TypeAdapter(list[_Told])


class Cell(NamedTuple):
    """A number as it is written, and what it is sorted by; None comes last."""

    text: str
    sort: float | None
    best: bool = False
    note: str | None = None


class Column(NamedTuple):
    """A column of the table of runs.

    Attributes:
        title: In the head.
        meaning: In a sentence.
        cells: One for each run.
    """

    title: str
    meaning: str
    cells: tuple[Cell, ...]


def read_runs(output_dir: Path) -> list[Run]:
    """All runs below ``output_dir``, and what the last batch said of them that their folders cannot tell.

    Those that a page has room for come first, see :func:`most_telling`.
    """
    records = read_records(output_dir)
    records = with_extra(records, output_dir, _told_by_the_batch(output_dir, records))
    rows = comparison_rows(records)
    hidden = Private(output_dir, hosts=[record.status.host for record in records if record.status])
    runs = [Run(0, hidden(row["run"]), record, row) for record, row in zip(records, rows, strict=True)]
    if len(runs) > MOST_ROWS:
        shown = most_telling(runs, MOST_ROWS)
        kept = {id(run) for run in shown}
        runs = [*shown, *(run for run in runs if id(run) not in kept)]
    return [replace(run, number=number) for number, run in enumerate(runs)]


def most_telling(runs: Sequence[Run], most: int) -> list[Run]:
    """``most`` of ``runs``, in their order: some that did not end well, and those with the best score."""
    return [runs[number] for number in telling_rows([run.row for run in runs], most)]


def _told_by_the_batch(output_dir: Path, records: Sequence[Record]) -> dict[str, tuple[str, str | None]]:
    """State and error of runs that were skipped, or whose export failed, where nothing has happened to them since."""
    try:
        told = _TOLD.validate_json(read_regular_file(output_dir.resolve().parent / RUNS_FILE, max_bytes=MAX_BYTES))
    except (OSError, ValueError):
        return {}
    known, here = {record.name: record for record in records}, output_dir.resolve()
    return {
        run.run: (run.status, run.error)
        for run in told
        if run.status != "finished" and Path(run.folder).parent == here and _still_holds(run, known.get(run.run))
    }


def _still_holds(told: _Told, record: Record | None) -> bool:
    if record is None:
        return True
    exported = record.parity is not None and record.parity.passed
    return record.status is not None and record.status.updated == told.updated and not exported


class _Number(NamedTuple):
    title: str
    meaning: str
    column: str
    write: Callable[[Any], str]
    better: int
    """1: the greatest is the best, -1: the smallest, 0: neither."""


_NUMBERS: Final = (
    _Number("mIoU", "Mean IoU over background, this person and other people, in the boxes.", "miou", formats.score, 1),
    _Number("target IoU", "IoU of the person that a box is about.", "iou_target", formats.score, 1),
    _Number("boundary F1", "How well borders are met, mean over boxes.", "boundary_f1", formats.score, 1),
    _Number("person IoU", "IoU of all people on the whole image.", "full_image_iou", formats.score, 1),
    _Number("test mIoU", "mIoU on a test split, on which nothing was chosen.", "test_miou", formats.score, 1),
    _Number("test person IoU", "Person IoU on a test split.", "test_full_image_iou", formats.score, 1),
    _Number("of its teacher", "mIoU over that of its teacher.", "teacher_miou_share", formats.percent, 1),
    _Number("gain", "mIoU over that of its control, which had no teacher.", "gain_over_control", formats.signed, 1),
    _Number("parameters", "Of the whole network.", "total_parameters", formats.millions, -1),
    _Number("compression", "Parameters of its teacher over its own.", "compression", formats.times, 1),
    _Number("latency", "Median of one image with the exported model.", "latency_ms", formats.milliseconds, -1),
    _Number("speedup", "Processor time of its teacher over its own.", "speedup", formats.times, 1),
    _Number("parity", "Largest difference of a probability, ONNX to PyTorch.", "parity_probability_difference",
            formats.tiny, 0),
    _Number("epochs", "Trained.", "epochs", lambda count: formats.DASH if count is None else str(count), 0),
    _Number("best epoch", "The one whose weights are kept.", "best_epoch",
            lambda count: formats.DASH if count is None else str(count), 0),
    _Number("time", "Of training steps.", "seconds", formats.duration, 0),
)  # fmt: skip


def run_columns(runs: Sequence[Run]) -> list[Column]:
    """The numbers of the table; a column that no run has anything for is left out."""
    columns = []
    for number in _NUMBERS:
        values = [run.row.get(number.column) for run in runs]
        known = [float(value) for value in values if value is not None]
        if not known:
            continue
        best = None if len(known) < 2 or not number.better else max(known, key=lambda value: number.better * value)
        cells = tuple(
            Cell(number.write(value), value, best=value is not None and value == best, note=_why(run.row, number))
            for run, value in zip(runs, values, strict=True)
        )
        columns.append(Column(number.title, number.meaning, cells))
    return columns


def _why(row: Mapping[str, Any], number: _Number) -> str | None:
    """Why there is no such number; of one of a test split, what it is of."""
    if number.column.startswith("test_") and row.get("test_data"):
        return f"of {row['test_images']} images ({row['test_data']})"
    reason = {"teacher_miou_share": "why_no_share", "gain_over_control": "why_no_gain"}.get(number.column)
    return None if reason is None else row[reason]
