"""Labels and losses of the detector: where persons are centred, and their boxes.

Objects as points (CenterNet, Zhou et al., arXiv:1904.07850), trained as in TTFNet (Liu et al., arXiv:1909.00700): a
Gaussian as long and wide as the person, and boxes learnt in all of it, not at its centre alone, so that few images are
enough.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.experiments.schema.heads import DETECTOR_STRIDE
from human_edge_detection.structures import IGNORE, Batch

_REGION: Final = 0.54
"""Height and width of the region that learns a person's box, fraction of the box (alpha and beta of TTFNet)."""
_SIGMAS: Final = 3.0
"""Standard deviations of the Gaussian from its centre to the end of that region."""
_EPSILON: Final = 1e-7
"""Against a division by 0, of areas as fractions of the image."""


def centre_labels(batch: Batch) -> Tensor:
    """``(B, h, w)``: 1 where a person is centred, falling to 0 at the end of their region; 255 ignore.

    Ignored is where most of a place is in ``person_masks``, unless a person is centred just there.
    """
    size = _size(batch)
    peaks = _gaussians(_boxes(batch), size).amax(dim=1)
    unknown = functional.avg_pool2d((batch.person_masks == IGNORE).to(peaks.dtype)[:, None], DETECTOR_STRIDE)[:, 0]
    return peaks.masked_fill((unknown > 0.5) & (peaks < 1.0), IGNORE)


def box_labels(batch: Batch) -> Tensor:
    """``(B, 5, h, w)``: x1, y1, x2, y2 of the person whose box a place learns, as fractions, and its weight.

    Weights of a person add up to 1, and are 0 where there is none to learn; of several persons the smallest has it.
    """
    boxes = _boxes(batch)
    gaussians = _gaussians(boxes, _size(batch))
    width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(dim=-1)
    # 1. The smallest person whose region a place is in.
    area = (width * height)[..., None, None].expand_as(gaussians)
    owner = area.masked_fill(gaussians == 0.0, torch.inf).argmin(dim=1, keepdim=True)
    # 2. Only there the Gaussian of a person counts, in proportion.
    own = torch.zeros_like(gaussians).scatter(1, owner, gaussians.gather(1, owner))
    weight = (own / own.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)).sum(dim=1, keepdim=True)
    sides = boxes.permute(0, 2, 1)[..., None].expand(-1, -1, -1, owner[0].numel())
    taken = sides.gather(2, owner.flatten(2).expand(-1, 4, -1)[:, :, None]).view(len(boxes), 4, *_size(batch))
    return torch.cat([taken, weight], dim=1)


def centre_focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Penalty-reduced focal loss (CornerNet, Law and Deng, arXiv:1808.01244): mean over the images.

    Args:
        logits: ``(B, 1, h, w)``.
        labels: From :func:`centre_labels`.

    Returns:
        Scalar >= 0; of an image the sum over its places, divided by the number of its persons.
    """
    logits = logits[:, 0].float()
    is_centre, is_known = labels == 1.0, labels != IGNORE
    probability = logits.sigmoid()
    missed = (1.0 - probability).square() * -functional.logsigmoid(logits) * is_centre
    penalty = (1.0 - labels).pow(4) * (is_known & ~is_centre)
    false_alarm = penalty * probability.square() * -functional.logsigmoid(-logits)
    persons = is_centre.sum(dim=(1, 2)).clamp(min=1)
    return ((missed + false_alarm).sum(dim=(1, 2)) / persons).mean()


def box_loss(boxes: Tensor, labels: Tensor) -> Tensor:
    """Generalised IoU loss (Rezatofighi et al., arXiv:1902.09630): mean over the images.

    Args:
        boxes: ``(B, 4, h, w)`` x1, y1, x2, y2 as fractions.
        labels: From :func:`box_labels`.

    Returns:
        Scalar in [0, 2]; of an image the mean over its persons.
    """
    weight = labels[:, 4]
    loss = 1.0 - _generalised_iou(boxes, labels[:, :4])
    total = weight.sum(dim=(1, 2))
    return ((loss * weight).sum(dim=(1, 2)) / total.clamp(min=1.0)).mean()


def _generalised_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """``(B, h, w)`` of boxes ``(B, 4, h, w)``; torchvision's looks whether they are valid, for which a GPU waits."""
    low, high, other_low, other_high = boxes[:, :2], boxes[:, 2:], others[:, :2], others[:, 2:]
    overlap = _area((torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0.0))
    union = _area(high - low) + _area(other_high - other_low) - overlap
    hull = _area(torch.maximum(high, other_high) - torch.minimum(low, other_low))
    return overlap / (union + _EPSILON) - (hull - union) / (hull + _EPSILON)


def _area(sides: Tensor) -> Tensor:
    """Of ``(B, 2, h, w)`` widths and heights."""
    return sides[:, 0] * sides[:, 1]


def _gaussians(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, P, h, w)``: 1 where a box ``(B, P, 4)`` is centred, 0 outside of its region, and everywhere of no box."""
    along_x, along_y = (
        _gaussian(boxes[..., axis], boxes[..., axis + 2], length) for axis, length in ((0, size[1]), (1, size[0]))
    )
    return along_y[..., None] * along_x[..., None, :]


def _gaussian(low: Tensor, high: Tensor, length: int) -> Tensor:
    """``(B, P, length)``: the same along one axis."""
    centre = ((low + high) / 2 * length).floor().clamp(0, length - 1)
    sigma = (_REGION * (high - low) * length + 1.0) / (2.0 * _SIGMAS)
    distance = (torch.arange(length, device=low.device, dtype=low.dtype) - centre[..., None]) / sigma[..., None]
    inside = (distance.abs() <= _SIGMAS) & (high > low)[..., None]
    return (-distance.square() / 2).exp() * inside


def _boxes(batch: Batch) -> Tensor:
    assert batch.person_boxes is not None, "a batch without the boxes of its persons"
    return batch.person_boxes


def _size(batch: Batch) -> tuple[int, int]:
    height, width = batch.person_masks.shape[-2:]
    return height // DETECTOR_STRIDE, width // DETECTOR_STRIDE
