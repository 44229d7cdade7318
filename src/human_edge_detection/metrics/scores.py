"""Computes metrics from counts, for one data set or for thousands of resampled ones at once. Imports no torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[Any]
Scores = NDArray[np.float64]

ROI_METRICS = (
    "miou",
    "iou_background",
    "iou_target",
    "iou_nontarget",
    "target_iou_per_roi",
    "dice_target",
    "boundary_f1",
)
IMAGE_METRICS = ("full_image_iou", "full_image_dice")
METRICS = (*ROI_METRICS, *IMAGE_METRICS)
"""All names of :func:`scores`, in its order; higher is better for each."""


class MetricCounts(NamedTuple):
    """What all metrics follow from: counts that add up over rois and images; ``...`` is any shape, the same for all.

    Attributes:
        roi_confusion: ``(..., 3, 3)`` pixels of rois; rows are true classes, columns predicted ones.
        image_confusion: ``(..., 2, 2)`` pixels of whole images; the classes are no person and any person.
        target_iou: ``(..., 2)`` sum of the IoU over the rois that have one, and their number.
        boundary_f1: ``(..., 2)`` sum of the boundary F1 over the rois that have one, and their number.
    """

    roi_confusion: Counts
    image_confusion: Counts
    target_iou: Counts
    boundary_f1: Counts


def scores(counts: MetricCounts) -> dict[str, Scores]:
    """Every metric in [0, 1] by name, ``(...)`` float64; NaN where nothing was counted."""
    background, target, nontarget = np.moveaxis(iou_per_class(counts.roi_confusion), -1, 0)
    values = (
        mean_iou(counts.roi_confusion),
        background,
        target,
        nontarget,
        _ratio(counts.target_iou[..., 0], counts.target_iou[..., 1]),
        dice_per_class(counts.roi_confusion)[..., 1],
        _ratio(counts.boundary_f1[..., 0], counts.boundary_f1[..., 1]),
        iou_per_class(counts.image_confusion)[..., 1],
        dice_per_class(counts.image_confusion)[..., 1],
    )
    return dict(zip(METRICS, values, strict=True))


def iou_per_class(confusion: Counts) -> Scores:
    """Intersection over union of each class: ``(..., C, C)`` to ``(..., C)``, NaN for a class absent in both."""
    overlap, total = _overlaps(confusion)
    return _ratio(overlap, total - overlap)


def dice_per_class(confusion: Counts) -> Scores:
    """Dice coefficient of each class: ``(..., C, C)`` to ``(..., C)``, NaN for a class absent in both."""
    overlap, total = _overlaps(confusion)
    return _ratio(2 * overlap, total)


def mean_iou(confusion: Counts) -> Scores:
    """Mean IoU ``(...)`` over the classes that are true or predicted anywhere; NaN when nothing was counted."""
    iou = iou_per_class(confusion)
    return _ratio(np.nansum(iou, axis=-1), np.isfinite(iou).sum(axis=-1))


def _overlaps(confusion: Counts) -> tuple[Scores, Scores]:
    """``(..., C)`` correctly predicted pixels of each class, and its true pixels plus its predicted pixels."""
    counts = np.asarray(confusion, np.float64)
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1) + counts.sum(axis=-2)


def _ratio(part: Counts, whole: Counts) -> Scores:
    """``part / whole``, NaN for 0 / 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(part, whole, dtype=np.float64))
