"""The validation metrics of a model over one data set."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from human_edge_detection.metrics.boundary import boundary_f1, boundary_tolerance
from human_edge_detection.metrics.confusion import count_pairs, unknown_class
from human_edge_detection.metrics.scores import MetricCounts, scores
from human_edge_detection.structures import CLASS_NAMES, TARGET, Batch, SegmentationOutput


class RoiScore(NamedTuple):
    """The scores of one roi.

    Attributes:
        image_id: Id of the image.
        annotation_id: Id of the target person's annotation.
        target_iou: In [0, 1]; NaN where the true mask is empty.
        boundary_f1: In [0, 1]; NaN where the true mask has no border.
        confusion: The 9 counts of the roi's 3 x 3 confusion matrix, row by row; rows are true classes.
    """

    image_id: int
    annotation_id: int
    target_iou: float
    boundary_f1: float
    confusion: tuple[int, ...]


class ImageScore(NamedTuple):
    """The 4 counts of an image's 2 x 2 confusion matrix (no person, any person), row by row; rows are true classes."""

    image_id: int
    confusion: tuple[int, ...]


class SegmentationMetrics:
    """Collects counts over a data set and computes metrics from them.

    Every count is an integer and every mean is summed exactly (``math.fsum``), so the result does not depend on the
    batches, their order, or how the data set was divided among processes.

    Args:
        mask_size: ``(height, width)`` of the roi masks; the tolerance of the boundary F1 follows from it.
    """

    def __init__(self, mask_size: tuple[int, int]) -> None:
        self.mask_size = mask_size
        self._tolerance = boundary_tolerance(mask_size)
        self._roi_scores: list[RoiScore] = []
        self._image_scores: list[ImageScore] = []

    @torch.no_grad()
    def update(self, output: SegmentationOutput, batch: Batch) -> None:
        """Counts one batch. A model without a roi head outputs 0 rois and is measured on the full image only.

        Raises:
            ValueError: The output has another number of rois than the batch, or another mask size; or a true class is
                none of those that there are.
        """
        measured = {"rois": self._measure_rois(output.logits, batch)} if len(output.logits) else {}
        full_image = output.aux.get("full_image_logits")
        if full_image is not None:
            measured["images"] = count_pairs(full_image.squeeze(1) > 0, batch.person_masks, num_classes=2).double()
        found = dict(zip(measured, read_once(list(measured.values())), strict=True))
        if "rois" in found:
            self._add_rois(found["rois"], batch)
        if "images" in found:
            counts = _known(found["images"], batch.person_masks, num_classes=2)
            self._image_scores += [ImageScore(*score) for score in zip(batch.image_ids, counts, strict=True)]

    def _measure_rois(self, logits: Tensor, batch: Batch) -> Tensor:
        """``(N, 3 + 9 + 1)`` float64: index of the image, IoU, boundary F1, and what :func:`count_pairs` counts.

        Args:
            logits: ``(N, 3, H, W)``.
            batch: What they were predicted for.
        """
        expected = (len(batch.rois), len(CLASS_NAMES), *self.mask_size)
        if tuple(logits.shape) != expected:
            raise ValueError(f"logits are {tuple(logits.shape)}, expected {expected}")
        classes = logits.argmax(1)
        counts = count_pairs(classes, batch.roi_masks, len(CLASS_NAMES))
        ious = target_iou(counts[:, :-1].reshape(-1, len(CLASS_NAMES), len(CLASS_NAMES)))
        boundaries = boundary_f1(classes, batch.roi_masks, self._tolerance)
        return torch.cat([torch.stack([batch.rois[:, 0].double(), ious, boundaries], dim=1), counts.double()], dim=1)

    def _add_rois(self, rows: NDArray[np.float64], batch: Batch) -> None:
        counts = _known(rows[:, 3:], batch.roi_masks, len(CLASS_NAMES))
        for annotation_id, (image, iou, boundary), confusion in zip(
            batch.annotation_ids, rows[:, :3].tolist(), counts, strict=True
        ):
            self._roi_scores.append(RoiScore(batch.image_ids[int(image)], annotation_id, iou, boundary, confusion))

    def merge(self, other: "SegmentationMetrics") -> None:
        """Adds the counts of ``other``, which were collected over another part of the same data set.

        Raises:
            ValueError: ``other`` has another mask size.
        """
        if other.mask_size != self.mask_size:
            raise ValueError(f"mask size {other.mask_size} cannot be merged into {self.mask_size}")
        self._roi_scores += other._roi_scores
        self._image_scores += other._image_scores

    def compute(self) -> dict[str, float | None]:
        """Every metric in [0, 1] by name; None for a metric without counts."""
        counts = MetricCounts(
            roi_confusion=_total((score.confusion for score in self._roi_scores), len(CLASS_NAMES)),
            image_confusion=_total((score.confusion for score in self._image_scores), 2),
            target_iou=_exact_sum(score.target_iou for score in self._roi_scores),
            boundary_f1=_exact_sum(score.boundary_f1 for score in self._roi_scores),
        )
        values = {name: float(value) for name, value in scores(counts).items()}
        return {name: None if math.isnan(value) else value for name, value in values.items()}

    @property
    def roi_scores(self) -> tuple[RoiScore, ...]:
        """The scores of every roi, in the order of the updates."""
        return tuple(self._roi_scores)

    @property
    def image_scores(self) -> tuple[ImageScore, ...]:
        """The scores of every image, in the order of the updates; empty without full-image logits."""
        return tuple(self._image_scores)


def read_once(tables: Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """Float64 ``tables`` from the device in one transfer, as each waits for all that was queued there."""
    if not tables:
        return []
    numbers = torch.cat([table.flatten() for table in tables]).cpu().numpy()
    ends = np.cumsum([table.numel() for table in tables])
    return [part.reshape(table.shape) for part, table in zip(np.split(numbers, ends[:-1]), tables, strict=True)]


def target_iou(confusion: Tensor) -> Tensor:
    """IoU of the target person in each roi.

    Args:
        confusion: ``(N, 3, 3)`` counts of pixels; rows are true classes.

    Returns:
        ``(N,)`` float64 in [0, 1]; NaN where the true mask is empty.
    """
    true, predicted = confusion[:, TARGET].sum(1), confusion[:, :, TARGET].sum(1)
    intersection = confusion[:, TARGET, TARGET]
    iou = intersection.double() / (true + predicted - intersection).double()
    return torch.where(true > 0, iou, torch.nan)


def _known(rows: NDArray[np.float64], target: Tensor, num_classes: int) -> list[tuple[int, ...]]:
    """The confusion matrices in what :func:`count_pairs` found, read; every count is exact in float64.

    Raises:
        ValueError: ``target`` holds an unknown class.
    """
    if rows[:, -1].any():
        raise unknown_class(target, num_classes)
    return [tuple(counts) for counts in rows[:, :-1].astype(np.int64).tolist()]


def _total(counts: Iterable[tuple[int, ...]], classes: int) -> NDArray[np.int64]:
    """The sum ``(C, C)`` of confusion matrices, each given as C^2 counts."""
    matrices = np.array(list(counts), np.int64).reshape(-1, classes, classes)
    return np.asarray(matrices.sum(axis=0))


def _exact_sum(values: Iterable[float]) -> NDArray[np.float64]:
    """``(2,)`` sum of the values that are not NaN, rounded once so that no order matters, and their number."""
    numbers = [value for value in values if not math.isnan(value)]
    return np.array([math.fsum(numbers), len(numbers)])
