"""RoIAlign for runtimes that have few operators: two matrix products, without gather, scatter or floor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from human_edge_detection.advanced.roi_align import SAMPLES


def align_rois_portable(maps: Sequence[Tensor], rois: Tensor, size: tuple[int, int]) -> Tensor:
    """As :func:`~human_edge_detection.advanced.roi_align.align_rois`, for boxes inside of one image.

    Args:
        maps: Each ``(1, C_i, H, W)``, all of one height and width.
        rois: ``(N, 5)`` ``batch_index, x1, y1, x2, y2``, fractions of the image, in [0, 1]; the index is not looked at.
        size: (height, width) of the output.

    Returns:
        ``(N, sum of C_i, height, width)`` float32, the channels in the order of ``maps``.
    """
    features = torch.cat(list(maps), dim=1)
    _, channels, height, width = features.shape
    count = len(rois)
    _, left, top, right, bottom = torch.split(rois, 1, dim=1)
    rows, columns = _hat_weights(top, bottom, height, size[0]), _hat_weights(left, right, width, size[1])
    # 1. The columns of all boxes in one product: (C H, W) times (W, N w). No operand is broadcast.
    narrow = features.reshape(channels * height, width) @ columns.reshape(count * size[1], width).transpose(0, 1)
    # 2. The rows, box by box: (h, H) times (H, C w).
    by_box = narrow.reshape(channels, height, count, size[1]).permute(2, 1, 0, 3)
    aligned = rows @ by_box.reshape(count, height, channels * size[1])
    return aligned.reshape(count, size[0], channels, size[1]).permute(0, 2, 1, 3)


def _hat_weights(start: Tensor, end: Tensor, length: int, count: int) -> Tensor:
    """The weights of one axis, for the mean of the linear interpolations in each cell.

    Linear interpolation at a point is a hat function of the distance of a pixel from it.

    Args:
        start: ``(n, 1)`` first positions of the boxes, fractions of the image.
        end: ``(n, 1)`` last positions.
        length: Number of pixels of the map.
        count: Number of cells of the output.

    Returns:
        ``(n, count, length)``; a row adds up to 1.
    """
    cells, pixels = torch.arange(count, dtype=start.dtype), torch.arange(length, dtype=start.dtype)
    first, step = start * length - 0.5, (end - start) * (length / count)
    weights = torch.zeros(1, 1, 1)
    for sample in range(SAMPLES):
        # The centre of the first pixel is at 0; points before it, or behind the last one, are moved to the border.
        points = (first + (cells + (sample + 0.5) / SAMPLES)[None] * step).clamp(0, length - 1)
        weights = weights + (1 - (pixels[None, None] - points[:, :, None]).abs()).relu()
    return weights * (1 / SAMPLES)
