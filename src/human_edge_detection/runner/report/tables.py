"""What is counted of the validation data: confusion matrices, and scores by size and crowding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.runner.comparison.paired import Line
from human_edge_detection.runner.comparison.slices import ALL, SLICES
from human_edge_detection.runner.report import formats
from human_edge_detection.runner.report.gains import Judged

_ROI_CLASSES: Final = ("background", "this person", "other people")
_IMAGE_CLASSES: Final = ("nobody", "anybody")
_SLICED: Final = {"miou": "mIoU", "iou_target": "target IoU", "full_image_iou": "person IoU of the whole image"}
"""Metrics that are shown by slice; the last one cannot be divided by the sizes of persons."""


class Matrix(NamedTuple):
    """A confusion matrix; rows are true classes.

    Attributes:
        what: Of what the pixels are.
        classes: Their names.
        rows: Shares of each row, in [0, 1]; None for a class that nothing is of.
        pixels: Counted in all.
    """

    what: str
    classes: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]
    pixels: int


def confusion_matrices(judged: Judged) -> list[Matrix]:
    """Of all validation images, and of all seeds together; none where nothing was counted."""
    counts = [run.counts for run in judged.counted.values()]
    rois = sum(
        (np.array(one.rois.confusion, np.int64).reshape(-1, 9).sum(0) for one in counts), np.zeros(9, np.int64)
    ).reshape(3, 3)
    images = sum(
        (np.array(one.images.confusion, np.int64).reshape(-1, 4).sum(0) for one in counts), np.zeros(4, np.int64)
    ).reshape(2, 2)
    found = [
        _matrix("pixels of the boxes", _ROI_CLASSES, rois),
        _matrix("pixels of the whole images", _IMAGE_CLASSES, images),
    ]
    return [matrix for matrix in found if matrix.pixels]


def _matrix(what: str, classes: tuple[str, ...], counts: NDArray[np.int64]) -> Matrix:
    rows = tuple(tuple(None if not row.sum() else float(count / row.sum()) for count in row) for row in counts)
    return Matrix(what, classes, rows, int(counts.sum()))


class SliceCell(NamedTuple):
    """A score on a part of the data.

    Attributes:
        score: As it is written.
        shade: Where it lies between the least and the greatest of the table, in [0, 1]; None where there is none.
        difference: To the control, as it is written; None without one.
        verdict: What may be said of it.
        images: Images that have something to find in the slice; None without a control.
    """

    score: str
    shade: float | None
    difference: str | None
    verdict: str | None
    images: int | None


class SliceTable(NamedTuple):
    """One metric by slice.

    Attributes:
        title: The metric.
        slices: Names of the columns.
        rows: Method and its cells.
    """

    title: str
    slices: tuple[str, ...]
    rows: tuple[tuple[str, tuple[SliceCell, ...]], ...]


def slice_tables(methods: Sequence[Judged]) -> list[SliceTable]:
    """By size of the person and by how many persons are on the image; one table a metric that any method has."""
    tables = []
    for metric, title in _SLICED.items():
        slices = tuple(part.name for part in SLICES if metric in part.metrics)
        found: list[tuple[str, list[Line | None]]] = []
        for judged in methods:
            lines = {line.slice: line for line in _lines(judged) if line.metric == metric}
            if lines:
                found.append((judged.name, [lines.get(name) for name in slices]))
        values = [line.score.mean for _, of_method in found for line in of_method if line is not None]
        if values:
            low, extent = min(values), max(values) - min(values) or 1.0
            rows = [(name, tuple(_cell(line, low, extent) for line in of_method)) for name, of_method in found]
            tables.append(SliceTable(title, tuple("all" if name == ALL.name else name for name in slices), tuple(rows)))
    return tables


def _lines(judged: Judged) -> Sequence[Line]:
    """With differences to the control where there is one."""
    compared = None if judged.control is None else judged.control.comparison
    found = compared or judged.scores
    return () if found is None else found.lines


def _cell(line: Line | None, low: float, extent: float) -> SliceCell:
    if line is None:
        return SliceCell(formats.DASH, None, None, None, None)
    found = line.difference
    return SliceCell(
        formats.score(line.score.mean),
        (line.score.mean - low) / extent,
        None if found is None else formats.signed(found.mean),
        None if found is None else found.verdict,
        None if found is None else found.images,
    )
