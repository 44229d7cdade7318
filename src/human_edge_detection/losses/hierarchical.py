"""The loss of every head on ground truth, added up: cross-entropy + Dice for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.losses.boundary import border, border_band, signed_distance
from human_edge_detection.losses.segmentation import balanced_cross_entropy, binary_losses, class_losses
from human_edge_detection.structures import (
    BACKGROUND,
    IGNORE,
    NON_TARGET,
    TARGET,
    Batch,
    LossOutput,
    SegmentationOutput,
)

FULL_IMAGE_PREFIX = "full_image/"
"""Terms that are means over images; all others are means over rois."""
DISTANCE_LIMIT = 8
"""Pixels of the mask at which the distance target is cut off."""


@dataclass(frozen=True)
class HeadWeights:
    """Weight of each head in the sum; 0 leaves it out."""

    main: float = 1.0
    bg_fg: float = 0.3
    target_nontarget: float = 0.3
    full_image: float = 0.5
    contour: float = 0.0
    distance: float = 0.0


class HierarchicalLoss:
    """Sum of all heads' losses on ground truth.

    Args:
        weights: Weight of each head.
        class_weights: Cross-entropy weights of (background, target, non-target).
        dice_weight: Weight of Dice beside cross-entropy.
        boundary_weight: Added to the weight of pixels near a border, in the cross-entropy of the main head.
        boundary_width: Half width of that band, pixels of the mask.
    """

    def __init__(
        self,
        weights: HeadWeights,
        *,
        class_weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        dice_weight: float = 1.0,
        boundary_weight: float = 0.0,
        boundary_width: int = 2,
    ) -> None:
        self.weights = weights
        self.class_weights = torch.tensor(class_weights)
        self.dice_weight = dice_weight
        self.boundary_weight = boundary_weight
        self.boundary_width = boundary_width

    def __call__(self, output: SegmentationOutput, batch: Batch) -> LossOutput:
        """The loss of one batch; terms of heads that the model lacks are absent.

        Args:
            output: The model's answer.
            batch: Its ground truth, masks at the sizes of ``output``.
        """
        terms: dict[str, Tensor] = {}
        weighted: dict[str, Tensor] = {}
        for name, weight, term in self._terms(output, batch):
            if weight > 0.0:
                terms[name] = term.detach()
                weighted[name] = weight * term
        if not weighted:
            nothing = output.aux["full_image_logits"].sum() * 0.0
            return LossOutput(nothing, {}, {})
        return LossOutput(torch.stack(list(weighted.values())).sum(), terms, weighted)

    def _terms(self, output: SegmentationOutput, batch: Batch) -> Iterator[tuple[str, float, Tensor]]:
        weights, aux = self.weights, output.aux
        of_image = binary_losses(aux["full_image_logits"], batch.person_masks)
        yield f"{FULL_IMAGE_PREFIX}bce", weights.full_image, of_image.cross_entropy
        yield f"{FULL_IMAGE_PREFIX}dice", weights.full_image * self.dice_weight, of_image.dice
        if len(output.logits) == 0:
            return
        masks = batch.roi_masks
        yield from self._class_terms("main", weights.main, output.logits, masks)
        for name, truth in (("bg_fg", foreground_labels(masks)), ("target_nontarget", target_labels(masks))):
            if f"{name}_logits" in aux:
                yield from self._class_terms(name, getattr(weights, name), aux[f"{name}_logits"], truth)
        target = (masks == TARGET)[:, None].float()
        if "contour_logits" in aux:
            truth = border(target)[:, 0].where(masks != IGNORE, float(IGNORE))
            yield "contour/bce", weights.contour, balanced_cross_entropy(aux["contour_logits"], truth)
        if "distance" in aux:
            error = functional.smooth_l1_loss(
                aux["distance"], signed_distance(target, DISTANCE_LIMIT), reduction="none", beta=0.1
            )
            valid = (masks != IGNORE)[:, None].float()
            yield "distance/smooth_l1", weights.distance, (error * valid).sum() / valid.sum().clamp(min=1.0)

    def _class_terms(
        self, name: str, weight: float, logits: Tensor, truth: Tensor
    ) -> Iterator[tuple[str, float, Tensor]]:
        main = name == "main"
        pixel_weights = None
        if main and self.boundary_weight:
            pixel_weights = 1.0 + self.boundary_weight * border_band(truth, self.boundary_width)
        class_weights = self.class_weights if main else None
        losses = class_losses(logits, truth, class_weights=class_weights, pixel_weights=pixel_weights)
        yield f"{name}/ce", weight, losses.cross_entropy
        yield f"{name}/dice", weight * self.dice_weight, losses.dice


def foreground_labels(masks: Tensor) -> Tensor:
    """``(N, H, W)`` as ``masks``: 0 background, 1 any person, 255 ignore."""
    return masks.where((masks == BACKGROUND) | (masks == IGNORE), masks.new_ones(()))


def target_labels(masks: Tensor) -> Tensor:
    """``(N, H, W)`` as ``masks``: 0 this person, 1 other people, 255 where there is no person at all."""
    ignore = masks.new_full((), IGNORE)
    return (masks - TARGET).where((masks == TARGET) | (masks == NON_TARGET), ignore)
