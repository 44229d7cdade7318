"""The validation metrics of a model over one data set."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from human_edge_detection.metrics.boundary import boundary_f1, boundary_tolerance
from human_edge_detection.metrics.confusion import confusion_matrix, dice_per_class, iou_per_class, mean_iou
from human_edge_detection.structures import (
    BACKGROUND,
    CLASS_NAMES,
    IGNORE,
    NON_TARGET,
    TARGET,
    Batch,
    SegmentationOutput,
)


class RoiScore(NamedTuple):
    """How well one person was found. A value is NaN where the truth has nothing to find."""

    image_id: int
    annotation_id: int
    target_iou: float
    boundary_f1: float


class SegmentationMetrics:
    """Counts over a data set.

    Every count is an integer and every mean is summed exactly (``math.fsum``), so the result does not depend on the
    batches, on their order, or on how the data set was split over processes.

    Args:
        mask_size: ``(height, width)`` of the roi masks; the tolerance of the boundary F1 follows from it.
    """

    def __init__(self, mask_size: tuple[int, int]) -> None:
        self.mask_size = mask_size
        self._tolerance = boundary_tolerance(mask_size)
        self._roi_confusion = torch.zeros(len(CLASS_NAMES), len(CLASS_NAMES), dtype=torch.int64)
        self._image_confusion = torch.zeros(2, 2, dtype=torch.int64)
        self._roi_scores: list[RoiScore] = []

    @torch.no_grad()
    def update(self, output: SegmentationOutput, batch: Batch) -> None:
        """Counts one batch. A model without roi head answers 0 rois and is then measured on the full image only.

        Raises:
            ValueError: The answer has another number of rois, or another size, than the truth.
        """
        if len(output.logits):
            self._count_rois(output.logits, batch)
        full_image = output.aux.get("full_image_logits")
        if full_image is not None:
            counts = confusion_matrix(full_image.squeeze(1) > 0, batch.person_masks, num_classes=2)
            self._image_confusion += counts.cpu()

    def _count_rois(self, logits: Tensor, batch: Batch) -> None:
        expected = (len(batch.rois), len(CLASS_NAMES), *self.mask_size)
        if tuple(logits.shape) != expected:
            raise ValueError(f"logits are {tuple(logits.shape)}, expected {expected}")
        classes = logits.argmax(1)
        self._roi_confusion += confusion_matrix(classes, batch.roi_masks, len(CLASS_NAMES)).cpu()
        ious = target_iou(classes, batch.roi_masks)
        boundaries = boundary_f1(classes, batch.roi_masks, self._tolerance)
        # One transfer from the device; a batch index is exact in float64.
        rows = torch.stack([batch.rois[:, 0].double(), ious, boundaries], dim=1).tolist()
        for annotation_id, (image, iou, boundary) in zip(batch.annotation_ids, rows, strict=True):
            self._roi_scores.append(RoiScore(batch.image_ids[int(image)], annotation_id, iou, boundary))

    def merge(self, other: "SegmentationMetrics") -> None:
        """Adds the counts of ``other``, which has seen another part of the same data set.

        Raises:
            ValueError: ``other`` measures another mask size.
        """
        if other.mask_size != self.mask_size:
            raise ValueError(f"mask size {other.mask_size} cannot be merged into {self.mask_size}")
        self._roi_confusion += other._roi_confusion
        self._image_confusion += other._image_confusion
        self._roi_scores += other._roi_scores

    def compute(self) -> dict[str, float | None]:
        """Every metric in [0, 1] by name; None for one that nothing was counted for."""
        iou = iou_per_class(self._roi_confusion)
        values: dict[str, Tensor | float] = {
            "miou": mean_iou(self._roi_confusion),
            "iou_background": iou[BACKGROUND],
            "iou_target": iou[TARGET],
            "iou_nontarget": iou[NON_TARGET],
            "target_iou_per_roi": _exact_mean(score.target_iou for score in self._roi_scores),
            "dice_target": dice_per_class(self._roi_confusion)[TARGET],
            "boundary_f1": _exact_mean(score.boundary_f1 for score in self._roi_scores),
            "full_image_iou": iou_per_class(self._image_confusion)[1],
            "full_image_dice": dice_per_class(self._image_confusion)[1],
        }
        return _none_for_nan(values)

    @property
    def roi_scores(self) -> tuple[RoiScore, ...]:
        """Every roi seen, in the order seen."""
        return tuple(self._roi_scores)

    @property
    def target_ious(self) -> list[tuple[int, int, float]]:
        """``(image_id, annotation_id, target IoU)`` of every roi whose true mask is not empty, in the order seen."""
        return [score[:3] for score in self._roi_scores if not math.isnan(score.target_iou)]


def target_iou(classes: Tensor, target: Tensor) -> Tensor:
    """IoU of the target person in each roi.

    Args:
        classes: ``(N, H, W)`` answered classes.
        target: ``(N, H, W)`` true classes, 255 is ignored.

    Returns:
        ``(N,)`` float64 in [0, 1]; NaN where the true mask is empty.
    """
    answered = (classes == TARGET) & (target != IGNORE)
    true = target == TARGET
    intersection = (answered & true).sum((1, 2)).double()
    union = (answered | true).sum((1, 2)).double()
    return torch.where(true.any(2).any(1), intersection / union, torch.nan)


def _exact_mean(values: Iterable[float]) -> float:
    """Mean of the values that are numbers, rounded once, so that their order does not matter; NaN for none."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _none_for_nan(values: Mapping[str, Tensor | float]) -> dict[str, float | None]:
    numbers = {name: float(value) for name, value in values.items()}
    return {name: None if math.isnan(number) else number for name, number in numbers.items()}
