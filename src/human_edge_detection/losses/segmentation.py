"""Pure losses on ground truth; all average over positions: image size and number of rois do not change their scale."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from human_edge_detection.structures import IGNORE


def cross_entropy(
    logits: Tensor, target: Tensor, *, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Weighted mean cross-entropy.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` integer classes; 255 is ignored.
        class_weights: ``(C,)``.
        pixel_weights: ``(N, H, W)`` >= 0.

    Returns:
        Scalar, nats; 0 when nothing counts.
    """
    labels = target.long()
    losses = functional.cross_entropy(logits.float(), labels, reduction="none", ignore_index=IGNORE)
    weights = (labels != IGNORE).float()
    if class_weights is not None:
        weights = weights * class_weights.to(weights)[labels.where(labels != IGNORE, labels.new_zeros(()))]
    if pixel_weights is not None:
        weights = weights * pixel_weights
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


def dice_loss(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient over the whole batch, mean over the classes that occur in it.

    Dice over the batch, not over each roi, as a roi without other people has no Dice for them
    (V-Net, Milletari et al., arXiv:1606.04797; batch Dice as in nnU-Net).

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` integer classes; 255 is ignored.
        smooth: Added to both sides of the fraction, pixels.

    Returns:
        Scalar in [0, 1]; 0 when nothing counts.
    """
    probabilities = functional.softmax(logits.float(), dim=1)
    labels = target.long()
    valid = labels != IGNORE
    truth = functional.one_hot(labels.where(valid, labels.new_zeros(())), logits.shape[1]).movedim(-1, 1)
    truth = truth.to(probabilities.dtype) * valid[:, None]
    probabilities = probabilities * valid[:, None]
    overlap = (probabilities * truth).sum(dim=(0, 2, 3))
    total = (probabilities + truth).sum(dim=(0, 2, 3))
    present = (truth.sum(dim=(0, 2, 3)) > 0).to(total.dtype)
    dice = (2.0 * overlap + smooth) / (total + smooth)
    return ((1.0 - dice) * present).sum() / present.sum().clamp(min=1.0)


def binary_cross_entropy(logit: Tensor, target: Tensor, *, balanced: bool = False) -> Tensor:
    """Mean binary cross-entropy of ``(N, 1, H, W)`` logits with ``(N, H, W)`` targets in {0, 1, 255 ignore}.

    Args:
        logit: ``(N, 1, H, W)``.
        target: ``(N, H, W)``.
        balanced: Let positive and negative pixels weigh the same in sum; for thin structures such as contours.
    """
    valid = (target != IGNORE).float()
    positive = (target == 1).float()
    losses = functional.binary_cross_entropy_with_logits(logit[:, 0].float(), positive, reduction="none")
    if balanced:
        share = (positive * valid).sum() / valid.sum().clamp(min=1.0)
        valid = valid * (positive * (1.0 - share) + (1.0 - positive) * share)
    return (losses * valid).sum() / valid.sum().clamp(min=1e-6)


def binary_dice_loss(logit: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice of the positive class over the batch; shapes as :func:`binary_cross_entropy`."""
    valid = (target != IGNORE).float()
    positive = (target == 1).float() * valid
    probability = logit[:, 0].float().sigmoid() * valid
    overlap = (probability * positive).sum()
    return 1.0 - (2.0 * overlap + smooth) / (probability.sum() + positive.sum() + smooth)
