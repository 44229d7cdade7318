"""Pure losses on ground truth; all average over positions: image size and number of rois do not change their scale."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.structures import IGNORE

_OVER_POSITIONS = (0, 2, 3)


class RegionLosses(NamedTuple):
    """How far an answer is from the truth, in two ways that share most of their arithmetic.

    Attributes:
        cross_entropy: Scalar, nats: the (weighted) mean over the positions.
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
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    smooth: float = 1.0,
) -> RegionLosses:
    """The losses of classes that exclude each other; both 0 when nothing counts.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` integer classes; 255 is ignored.
        class_weights: ``(C,)``, of the cross-entropy.
        pixel_weights: ``(N, H, W)`` >= 0, of the cross-entropy.
        smooth: Added to both sides of the fraction of Dice, pixels.
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    classes = torch.arange(logits.shape[1], dtype=target.dtype, device=target.device).view(1, -1, 1, 1)
    truth = (target[:, None] == classes).to(log_probabilities.dtype)
    size = truth.sum(_OVER_POSITIONS)

    weighted = truth if pixel_weights is None else truth * pixel_weights[:, None]
    counted = size if pixel_weights is None else weighted.sum(_OVER_POSITIONS)
    surprise = -(log_probabilities * weighted).sum(_OVER_POSITIONS)
    if class_weights is not None:
        surprise, counted = surprise * class_weights.to(surprise), counted * class_weights.to(counted)
    cross_entropy = surprise.sum() / counted.sum().clamp(min=1e-6)

    probabilities = log_probabilities.exp() * (target != IGNORE)[:, None]
    overlap = (probabilities * truth).sum(_OVER_POSITIONS)
    dice = (2.0 * overlap + smooth) / (probabilities.sum(_OVER_POSITIONS) + size + smooth)
    present = (size > 0).to(dice.dtype)
    return RegionLosses(cross_entropy, ((1.0 - dice) * present).sum() / present.sum().clamp(min=1.0))


def binary_losses(logit: Tensor, target: Tensor, *, smooth: float = 1.0) -> RegionLosses:
    """The losses of one class, Dice that of the positive pixels; 0 when nothing counts.

    Args:
        logit: ``(N, 1, H, W)``.
        target: ``(N, H, W)`` in {0, 1, 255 ignore}.
        smooth: Added to both sides of the fraction of Dice, pixels.
    """
    valid, positive = (target != IGNORE).float(), (target == 1).float()
    logit = logit[:, 0].float()
    losses = functional.binary_cross_entropy_with_logits(logit, positive, weight=valid, reduction="sum")
    probability = logit.sigmoid() * valid
    overlap = (probability * positive).sum()
    dice = (2.0 * overlap + smooth) / (probability.sum() + positive.sum() + smooth)
    return RegionLosses(losses / valid.sum().clamp(min=1e-6), 1.0 - dice)


def balanced_cross_entropy(logit: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy in which positive and negative pixels weigh the same in sum; for thin structures as contours.

    Shapes are those of :func:`binary_losses`.
    """
    valid, positive = (target != IGNORE).float(), (target == 1).float()
    share = positive.sum() / valid.sum().clamp(min=1.0)
    weight = valid * (positive * (1.0 - share) + (1.0 - positive) * share)
    losses = functional.binary_cross_entropy_with_logits(logit[:, 0].float(), positive, weight=weight, reduction="sum")
    return losses / weight.sum().clamp(min=1e-6)
