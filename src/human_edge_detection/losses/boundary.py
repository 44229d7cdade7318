"""Borders and signed distances of masks by morphology (dilation, erosion), batched on the device, for the losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _dilate(mask: Tensor) -> Tensor:
    """Dilation of ``(N, 1, H, W)`` masks in {0, 1} by a 3x3 square, as max pooling."""
    return functional.max_pool2d(mask, kernel_size=3, stride=1, padding=1)


def _erode(mask: Tensor) -> Tensor:
    """Erosion by a 3x3 square: the complement of the dilated complement."""
    return 1.0 - _dilate(1.0 - mask)


def border(mask: Tensor) -> Tensor:
    """Morphological gradient (dilation minus erosion) by a 3x3 square.

    It is 1 at pixels that have a pixel of the other value among their eight neighbours.

    Args:
        mask: ``(N, 1, H, W)`` in {0, 1}.

    Returns:
        ``(N, 1, H, W)`` in {0, 1}.
    """
    return _dilate(mask) - _erode(mask)


def border_band(masks: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` pixels (chessboard distance) of a border between classes.

    Args:
        masks: ``(N, H, W)`` integer classes; 255 (ignore) counts as a class of its own.
        width: Half the width of the band, pixels, >= 1.

    Returns:
        ``(N, H, W)`` float32 in {0, 1}.
    """
    classes = masks[:, None].float()
    # A pixel is at a border if the maximum and the minimum of its 3x3 neighbourhood differ; then dilate.
    change = (functional.max_pool2d(classes, 3, 1, 1) != -functional.max_pool2d(-classes, 3, 1, 1)).float()
    for _ in range(width - 1):
        change = _dilate(change)
    return change[:, 0]


def signed_distance(mask: Tensor, limit: int) -> Tensor:
    """Truncated chessboard distance to the border, positive inside, divided by ``limit``.

    Args:
        mask: ``(N, 1, H, W)`` in {0, 1}.
        limit: Distance in pixels at which it is clipped, >= 1.

    Returns:
        ``(N, 1, H, W)`` float32 in [-1, 1].
    """
    # Each pixel is counted once for each of ``limit`` erosions that leaves it in the mask or in its complement.
    inside, outside = mask.float(), 1.0 - mask.float()
    distance = torch.zeros_like(inside)
    for _ in range(limit):
        distance = distance + inside - outside
        inside, outside = _erode(inside), _erode(outside)
    return distance / limit
