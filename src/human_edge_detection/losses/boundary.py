"""Borders and distances of masks, on the device, without leaving the batch: targets and weights for the losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _dilate(mask: Tensor) -> Tensor:
    return functional.max_pool2d(mask, kernel_size=3, stride=1, padding=1)


def _erode(mask: Tensor) -> Tensor:
    return 1.0 - _dilate(1.0 - mask)


def border(mask: Tensor) -> Tensor:
    """Pixels of ``(N, 1, H, W)`` masks in {0, 1} with a pixel of the other kind among their eight neighbours."""
    return _dilate(mask) - _erode(mask)


def border_band(masks: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` pixels (chessboard) of a change of class.

    Args:
        masks: ``(N, H, W)`` integer classes; 255 (ignore) counts as a class of its own.
        width: Half width of the band, >= 1.

    Returns:
        ``(N, H, W)`` float32 in {0, 1}.
    """
    classes = masks[:, None].float()
    change = (functional.max_pool2d(classes, 3, 1, 1) != -functional.max_pool2d(-classes, 3, 1, 1)).float()
    for _ in range(width - 1):
        change = _dilate(change)
    return change[:, 0]


def signed_distance(mask: Tensor, limit: int) -> Tensor:
    """Truncated chessboard distance to the border, positive inside, divided by ``limit``.

    Args:
        mask: ``(N, 1, H, W)`` in {0, 1}.
        limit: Distance in pixels at which it is cut off, >= 1.

    Returns:
        ``(N, 1, H, W)`` float32 in [-1, 1].
    """
    inside, outside = mask.float(), 1.0 - mask.float()
    distance = torch.zeros_like(inside)
    for _ in range(limit):
        distance = distance + inside - outside
        inside, outside = _erode(inside), _erode(outside)
    return distance / limit
