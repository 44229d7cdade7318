"""Labels and losses of the heads, found by the kinds that the table of heads names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from torch import Tensor
from torch.nn import functional

from human_edge_detection.experiments.schema.heads import Head, LabelKind, LossKind
from human_edge_detection.experiments.schema.loss import LossConfig
from human_edge_detection.losses.boundary import border, border_band, signed_distance
from human_edge_detection.losses.detection import box_labels, box_loss, centre_focal_loss, centre_labels
from human_edge_detection.losses.segmentation import balanced_cross_entropy, binary_losses, class_losses
from human_edge_detection.structures import BACKGROUND, IGNORE, NON_TARGET, TARGET, Batch

DISTANCE_LIMIT: Final = 8
"""Pixels of the mask at which the distance target is cut off."""

_BOX_WEIGHT: Final = 5.0
"""Of boxes beside centres, as in TTFNet."""


def foreground_labels(masks: Tensor) -> Tensor:
    """``(N, H, W)`` as ``masks``: 0 background, 1 any person, 255 ignore."""
    return masks.where((masks == BACKGROUND) | (masks == IGNORE), masks.new_ones(()))


def target_labels(masks: Tensor) -> Tensor:
    """``(N, H, W)`` as ``masks``: 0 this person, 1 other people, 255 where there is no person at all."""
    ignore = masks.new_full((), IGNORE)
    return (masks - TARGET).where((masks == TARGET) | (masks == NON_TARGET), ignore)


def _target_border(batch: Batch) -> Tensor:
    return border(batch.roi_masks == TARGET, batch.roi_masks != IGNORE)


def _target_distance(batch: Batch) -> Tensor:
    return signed_distance(batch.roi_masks == TARGET, batch.roi_masks != IGNORE, DISTANCE_LIMIT)


LABELS: Final[Mapping[LabelKind, Callable[[Batch], Tensor]]] = {
    "classes": lambda batch: batch.roi_masks,
    "foreground": lambda batch: foreground_labels(batch.roi_masks),
    "target": lambda batch: target_labels(batch.roi_masks),
    "person": lambda batch: batch.person_masks,
    "target_border": _target_border,
    "target_distance": _target_distance,
    "person_centre": centre_labels,
    "person_box": box_labels,
}
"""Labels of a batch by kind, ``(N, H, W)`` of the rois or ``(B, IH, IW)`` of the images; 255 is ignored. Those of boxes
are ``(B, 5, h, w)``."""


Terms = Iterator[tuple[str, float, Tensor]]
"""Name of the loss, its weight within the head, and the scalar."""


def _classes(head: Head, logits: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    pixel_weights = class_weights = None
    if head.labels == "classes":  # weights are those of the three classes
        class_weights = settings.class_weights
        if settings.boundary is not None:
            pixel_weights = 1.0 + settings.boundary.weight * border_band(labels, settings.boundary.width)
    losses = class_losses(logits, labels, class_weights=class_weights, pixel_weights=pixel_weights)
    yield "ce", 1.0, losses.cross_entropy
    yield "dice", settings.dice_weight, losses.dice


def _binary(head: Head, logits: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    losses = binary_losses(logits, labels)
    yield "bce", 1.0, losses.cross_entropy
    yield "dice", settings.dice_weight, losses.dice


def _balanced_binary(head: Head, logits: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    yield "bce", 1.0, balanced_cross_entropy(logits, labels)


def _smooth_l1(head: Head, values: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    error = functional.smooth_l1_loss(values[:, 0], labels, reduction="none", beta=0.1)
    valid = (labels != IGNORE).to(error.dtype)
    yield "smooth_l1", 1.0, (error * valid).sum() / valid.sum().clamp(min=1.0)


def _centre_focal(head: Head, logits: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    yield "focal", 1.0, centre_focal_loss(logits, labels)


def _box_giou(head: Head, boxes: Tensor, labels: Tensor, settings: LossConfig) -> Terms:
    yield "giou", _BOX_WEIGHT, box_loss(boxes, labels)


LOSSES: Final[Mapping[LossKind, Callable[[Head, Tensor, Tensor, LossConfig], Terms]]] = {
    "classes": _classes,
    "binary": _binary,
    "balanced_binary": _balanced_binary,
    "smooth_l1": _smooth_l1,
    "centre_focal": _centre_focal,
    "box_giou": _box_giou,
}
"""Losses by kind."""
