"""Losses against the ground truth: cross-entropy and soft Dice.

All are averages over positions, so that image size and number of rois do not change their scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.structures import IGNORE

_OVER_POSITIONS = (0, 2, 3)


class RegionLosses(NamedTuple):
    """Cross-entropy and Dice loss of the same logits, computed together as they share most of their arithmetic.

    Attributes:
        cross_entropy: Scalar >= 0, nats: the (weighted) mean over the positions.
        dice: Scalar in [0, 1]: one minus the soft Dice coefficient over the whole batch, mean over the classes that
            occur in it. Over the batch, not over each roi, as a roi without other people has no Dice for them
            (V-Net, Milletari et al., arXiv:1606.04797; batch Dice as in nnU-Net).
    """

    cross_entropy: Tensor
    dice: Tensor


def class_losses(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: Sequence[float] | None = None,
    pixel_weights: Tensor | None = None,
    smooth: float = 1.0,
) -> RegionLosses:
    """Losses of mutually exclusive classes; both are 0 when no pixel counts.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` integer classes; 255 is ignored.
        class_weights: C numbers >= 0, for the cross-entropy.
        pixel_weights: ``(N, H, W)`` >= 0, for the cross-entropy.
        smooth: Added to numerator and denominator of the Dice coefficient, pixels.
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    # 1. One-hot targets (N, C, H, W); ignored pixels are 0 in every class.
    classes = torch.arange(logits.shape[1], dtype=target.dtype, device=target.device).view(1, -1, 1, 1)
    truth = (target[:, None] == classes).to(log_probabilities.dtype)
    size = truth.sum(_OVER_POSITIONS)

    # 2. Cross-entropy summed for each class, divided by the sum of the weights.
    weighted = truth if pixel_weights is None else truth * pixel_weights[:, None]
    counted = size if pixel_weights is None else weighted.sum(_OVER_POSITIONS)
    negative_log_likelihood = -(log_probabilities * weighted).sum(_OVER_POSITIONS)
    if class_weights is not None:
        # One by one: a tensor of the weights would be copied to a GPU, which waits for all before.
        negative_log_likelihood, counted = (
            torch.stack([value * weight for value, weight in zip(values.unbind(), class_weights, strict=True)])
            for values in (negative_log_likelihood, counted)
        )
    cross_entropy = negative_log_likelihood.sum() / counted.sum().clamp(min=1e-6)

    # 3. Soft Dice of each class over the whole batch, averaged over the classes in the target.
    probabilities = log_probabilities.exp() * (target != IGNORE)[:, None]
    overlap = (probabilities * truth).sum(_OVER_POSITIONS)
    dice = (2.0 * overlap + smooth) / (probabilities.sum(_OVER_POSITIONS) + size + smooth)
    present = (size > 0).to(dice.dtype)
    return RegionLosses(cross_entropy, ((1.0 - dice) * present).sum() / present.sum().clamp(min=1.0))


def binary_losses(logit: Tensor, target: Tensor, *, smooth: float = 1.0) -> RegionLosses:
    """Losses of one class against the rest, with Dice of the positive pixels; both are 0 when no pixel counts.

    Args:
        logit: ``(N, 1, H, W)``.
        target: ``(N, H, W)`` in {0, 1, 255 ignore}.
        smooth: Added to numerator and denominator of the Dice coefficient, pixels.
    """
    valid, positive = (target != IGNORE).float(), (target == 1).float()
    logit = logit[:, 0].float()
    losses = functional.binary_cross_entropy_with_logits(logit, positive, weight=valid, reduction="sum")
    probability = logit.sigmoid() * valid
    overlap = (probability * positive).sum()
    dice = (2.0 * overlap + smooth) / (probability.sum() + positive.sum() + smooth)
    return RegionLosses(losses / valid.sum().clamp(min=1e-6), 1.0 - dice)


def balanced_cross_entropy(logit: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with equal total weights of positive and negative pixels, for thin structures (contours).

    Xie and Tu, "Holistically-Nested Edge Detection", arXiv:1504.06375. Shapes are those of :func:`binary_losses`.
    """
    valid, positive = (target != IGNORE).float(), (target == 1).float()
    share = positive.sum() / valid.sum().clamp(min=1.0)
    weight = valid * (positive * (1.0 - share) + (1.0 - positive) * share)
    losses = functional.binary_cross_entropy_with_logits(logit[:, 0].float(), positive, weight=weight, reduction="sum")
    return losses / weight.sum().clamp(min=1e-6)
