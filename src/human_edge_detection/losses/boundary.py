"""Borders and signed distances of masks by morphology, batched on the device, for the losses.

What is ignored may be of any class. So its edge is no border, and where a label would follow from it there is none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from human_edge_detection.morphology import dilate
from human_edge_detection.structures import BACKGROUND, IGNORE, NON_TARGET, TARGET


def border(mask: Tensor, known: Tensor) -> Tensor:
    """Morphological gradient (dilation minus erosion) by a 3x3 square.

    It is 1 at pixels that have a pixel of the other value among their eight neighbours.

    Args:
        mask: Boolean ``(N, H, W)``.
        known: Boolean ``(N, H, W)``; elsewhere nobody knows the value of ``mask``.

    Returns:
        ``(N, H, W)`` float32: 0, 1, or 255 (ignore) at unknown pixels and where an unknown neighbour decides.
    """
    inside, outside = mask & known, ~mask & known
    found = (inside & dilate(outside, 1)) | (outside & dilate(inside, 1))
    decided = known & (found | ~dilate(~known, 1))
    return found.float().where(decided, float(IGNORE))


def border_band(masks: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` pixels (chessboard distance) of a border between classes.

    Args:
        masks: ``(N, H, W)`` integer classes; 255 (ignore) is none, so the edge of an ignored region is no border.
        width: Half the width of the band, pixels, >= 1.

    Returns:
        ``(N, H, W)`` float32 in {0, 1}.
    """
    known = masks != IGNORE
    change = torch.zeros_like(known)
    for value in (BACKGROUND, TARGET, NON_TARGET):
        of_class = masks == value
        change |= of_class & dilate(known & ~of_class, 1)
    return dilate(change, width - 1).float()


def signed_distance(mask: Tensor, known: Tensor, limit: int) -> Tensor:
    """Truncated chessboard distance to the nearest pixel of the other value, positive inside, divided by ``limit``.

    Args:
        mask: Boolean ``(N, H, W)``.
        known: Boolean ``(N, H, W)``; elsewhere nobody knows the value of ``mask``.
        limit: Distance in pixels at which it is clipped, >= 1.

    Returns:
        ``(N, H, W)`` float32 in [-1, 1], or 255 (ignore) at unknown pixels and where one is nearer than the border.
    """
    inside, outside = mask & known, ~mask & known
    # A pixel is counted once for each of ``limit`` dilations of the other value that does not reach it.
    near_inside, near_outside, near_unknown = inside, outside, ~known
    distance, to_unknown = torch.zeros_like(mask, dtype=torch.float32), torch.zeros_like(mask, dtype=torch.float32)
    for _ in range(limit):
        distance += (inside & ~near_outside).float() - (outside & ~near_inside).float()
        to_unknown += (~near_unknown).float()
        near_inside, near_outside = dilate(near_inside, 1), dilate(near_outside, 1)
        near_unknown = dilate(near_unknown, 1)
    return (distance / limit).where(known & (distance.abs() <= to_unknown), float(IGNORE))
