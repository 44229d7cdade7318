"""The validation metrics of a model over one data set."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from human_edge_detection.metrics.boundary import boundary_f1, boundary_tolerance
from human_edge_detection.metrics.confusion import confusion_matrices
from human_edge_detection.metrics.scores import Sums, scores
from human_edge_detection.structures import CLASS_NAMES, TARGET, Batch, SegmentationOutput


class RoiScore(NamedTuple):
    """How well one person was found.

    Attributes:
        image_id: The photograph.
        annotation_id: The person.
        target_iou: NaN where the truth has nothing to find.
        boundary_f1: NaN where the truth has no border to find.
        confusion: The 3 x 3 counts of the roi, row by row; rows are the truth.
    """

    image_id: int
    annotation_id: int
    target_iou: float
    boundary_f1: float
    confusion: tuple[int, ...]


class ImageScore(NamedTuple):
    """How well the people of one photograph were found: its 2 x 2 counts, row by row; rows are the truth."""

    image_id: int
    confusion: tuple[int, ...]


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
        self._roi_scores: list[RoiScore] = []
        self._image_scores: list[ImageScore] = []

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
            counts = confusion_matrices(full_image.squeeze(1) > 0, batch.person_masks, num_classes=2).flatten(1)
            for image_id, confusion in zip(batch.image_ids, counts.tolist(), strict=True):
                self._image_scores.append(ImageScore(image_id, tuple(confusion)))

    def _count_rois(self, logits: Tensor, batch: Batch) -> None:
        expected = (len(batch.rois), len(CLASS_NAMES), *self.mask_size)
        if tuple(logits.shape) != expected:
            raise ValueError(f"logits are {tuple(logits.shape)}, expected {expected}")
        classes = logits.argmax(1)
        counts = confusion_matrices(classes, batch.roi_masks, len(CLASS_NAMES))
        ious = target_iou(counts)
        boundaries = boundary_f1(classes, batch.roi_masks, self._tolerance)
        # One transfer from the device; a batch index is exact in float64.
        rows = torch.stack([batch.rois[:, 0].double(), ious, boundaries], dim=1).tolist()
        for annotation_id, (image, iou, boundary), confusion in zip(
            batch.annotation_ids, rows, counts.flatten(1).tolist(), strict=True
        ):
            image_id = batch.image_ids[int(image)]
            self._roi_scores.append(RoiScore(image_id, annotation_id, iou, boundary, tuple(confusion)))

    def merge(self, other: "SegmentationMetrics") -> None:
        """Adds the counts of ``other``, which has seen another part of the same data set.

        Raises:
            ValueError: ``other`` measures another mask size.
        """
        if other.mask_size != self.mask_size:
            raise ValueError(f"mask size {other.mask_size} cannot be merged into {self.mask_size}")
        self._roi_scores += other._roi_scores
        self._image_scores += other._image_scores

    def compute(self) -> dict[str, float | None]:
        """Every metric in [0, 1] by name; None for one that nothing was counted for."""
        sums = Sums(
            roi_confusion=_total((score.confusion for score in self._roi_scores), len(CLASS_NAMES)),
            image_confusion=_total((score.confusion for score in self._image_scores), 2),
            target_iou=_exact_sum(score.target_iou for score in self._roi_scores),
            boundary_f1=_exact_sum(score.boundary_f1 for score in self._roi_scores),
        )
        values = {name: float(value) for name, value in scores(sums).items()}
        return {name: None if math.isnan(value) else value for name, value in values.items()}

    @property
    def roi_scores(self) -> tuple[RoiScore, ...]:
        """Every roi seen, in the order seen."""
        return tuple(self._roi_scores)

    @property
    def image_scores(self) -> tuple[ImageScore, ...]:
        """Every photograph seen, in the order seen; none from a model without full-image answer."""
        return tuple(self._image_scores)


def target_iou(confusion: Tensor) -> Tensor:
    """IoU of the target person in each roi.

    Args:
        confusion: ``(N, 3, 3)`` counts of pixels; rows are the truth.

    Returns:
        ``(N,)`` float64 in [0, 1]; NaN where the true mask is empty.
    """
    true, answered = confusion[:, TARGET].sum(1), confusion[:, :, TARGET].sum(1)
    intersection = confusion[:, TARGET, TARGET]
    iou = intersection.double() / (true + answered - intersection).double()
    return torch.where(true > 0, iou, torch.nan)


def _total(counts: Iterable[tuple[int, ...]], classes: int) -> NDArray[np.int64]:
    """The sum of flat ``(C, C)`` counts."""
    matrices = np.array(list(counts), np.int64).reshape(-1, classes, classes)
    return np.asarray(matrices.sum(axis=0))


def _exact_sum(values: Iterable[float]) -> NDArray[np.float64]:
    """Sum, rounded once, so that the order does not matter, and number of the values that are numbers."""
    numbers = [value for value in values if not math.isnan(value)]
    return np.array([math.fsum(numbers), len(numbers)])
