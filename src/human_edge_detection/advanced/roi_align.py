"""RoIAlign; on a CPU, separable bilinear sampling as two matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

SAMPLES = 2
"""Sampling points of a cell along each axis. Fixed, since a number that depends on the box exports badly."""


def align_rois(maps: Sequence[Tensor], rois: Tensor, size: tuple[int, int]) -> Tensor:
    """Crops feature maps to boxes by RoIAlign (He et al., arXiv:1703.06870) and concatenates their channels.

    The mean of 2 x 2 bilinear samples in each cell is separable: a weighted sum over rows, then one over columns. Two
    matrix products take a fraction of the time of torchvision's operator, whose backward pass on a CPU has one
    thread. A GPU and an exported graph use the operator.

    Args:
        maps: Each ``(B, C_i, H, W)``, all of one height and width.
        rois: ``(N, 5)`` ``batch_index, x1, y1, x2, y2``, fractions of the image.
        size: (height, width) of the output.

    Returns:
        ``(N, sum of C_i, height, width)``, the channels in the order of ``maps``; under autocast on a CPU in its type,
        else float32.
    """
    height, width = maps[0].shape[-2:]
    boxes = rois * rois.new_tensor([1.0, width, height, width, height])
    if maps[0].device.type != "cpu" or torch.compiler.is_exporting():
        concatenated = torch.cat([part.float() for part in maps], dim=1)
        aligned: Tensor = roi_align(concatenated, boxes, size, sampling_ratio=SAMPLES, aligned=True)
        return aligned
    # 1. Sort the boxes by image, so that those of one image are multiplied at once.
    order = boxes[:, 0].argsort(stable=True)
    index, left, top, right, bottom = boxes[order].unbind(1)
    counts = torch.bincount(index.long(), minlength=len(maps[0])).tolist()
    # 2. The weights of both axes for each box.
    rows = torch.split(_sample_weights(top, bottom, height, size[0]), counts)
    columns = torch.split(_sample_weights(left, right, width, size[1]), counts)
    # 3. Two matrix products for each image with boxes; channels last, which needs no copy of the maps.
    images = zip(*(part.permute(0, 2, 3, 1).unbind(0) for part in maps), strict=True)
    parts = [_align(image, *weights) for image, *weights in zip(images, rows, columns, strict=True) if len(weights[0])]
    # 4. Back to the order of ``rois``.
    return torch.cat(parts)[order.argsort()].permute(0, 3, 1, 2)


def _align(image: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """RoIAlign of the n boxes of one image.

    Args:
        image: Its maps, each ``(H, W, C_i)``.
        rows: ``(n, height, H)`` weights.
        columns: ``(n, width, W)`` weights.

    Returns:
        ``(n, height, width, C)``.
    """
    # 1. Sums over rows, for each map alone: (n, height, W, C_i).
    count, height, _ = rows.shape
    bands = [(rows.flatten(0, 1) @ part.flatten(1, 2)).view(count, height, *part.shape[1:]) for part in image]
    # 2. Concatenate, which is less here than before the rows were summed: (n, W, height, C).
    band = torch.cat(bands, dim=-1).transpose(1, 2)
    # 3. Sums over columns.
    return (columns @ band.flatten(2)).view(count, -1, height, band.shape[-1]).transpose(1, 2)


def _sample_weights(start: Tensor, end: Tensor, length: int, count: int) -> Tensor:
    """The weights of one axis, for the mean of two linear interpolations in each cell.

    Args:
        start: ``(n,)`` first positions of the boxes, in pixels.
        end: ``(n,)`` last positions.
        length: Number of pixels of the map.
        count: Number of cells of the output.

    Returns:
        ``(n, count, length)``; a row adds up to 1, or to less where sampling points lie outside of the map.
    """
    # 1. Sampling points, with the centre of the first pixel at 0.
    step = (end - start) / (count * SAMPLES)
    points = start[:, None] - 0.5 + (torch.arange(count * SAMPLES) + 0.5) * step[:, None]
    # 2. As in the operator: points up to one pixel outside are moved to the border, those further out count 0.
    inside = (points >= -1) & (points <= length)
    points = points.clamp(0, length - 1)
    # 3. Linear interpolation between the pixels before and after each point.
    before = points.floor().clamp(max=max(length - 2, 0))
    share = torch.stack([1 - points + before, points - before], dim=2) * inside[..., None] / SAMPLES
    pixels = torch.stack([before, (before + 1).clamp(max=length - 1)], dim=2).long()
    # 4. Add up the weights of the points of each cell.
    cells = (len(start), count, 2 * SAMPLES)
    return torch.zeros(len(start), count, length).scatter_add_(2, pixels.view(cells), share.view(cells))
