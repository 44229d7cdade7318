"""RoIAlign, on a CPU as two matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

SAMPLES = 2
"""Sampling points in each direction of each cell. Fixed: a number that depends on the box exports badly."""


def align_rois(maps: Sequence[Tensor], rois: Tensor, size: tuple[int, int]) -> Tensor:
    """What several maps show inside each box (RoIAlign, He et al., arXiv:1703.06870).

    Two bilinear samples in each direction of a cell are a weighted sum over rows and then over columns. As matrix
    products that takes a fraction of the time of the operator, whose backward pass has one thread on a CPU. A GPU and
    an exported graph use the operator.

    Args:
        maps: Each ``(B, C_i, H, W)``.
        rois: ``(N, 5)`` ``batch_index, x1, y1, x2, y2``, fractions of the image.
        size: Height and width of the answer.

    Returns:
        ``(N, sum of C_i, height, width)``, the channels in the order of ``maps``. Under autocast on a CPU in its
        precision, else float32.
    """
    height, width = maps[0].shape[-2:]
    boxes = rois * rois.new_tensor([1.0, width, height, width, height])
    if maps[0].device.type != "cpu" or torch.compiler.is_exporting():
        joined = torch.cat([one.float() for one in maps], dim=1)
        aligned: Tensor = roi_align(joined, boxes, size, sampling_ratio=SAMPLES, aligned=True)
        return aligned
    order = boxes[:, 0].argsort(stable=True)
    index, left, top, right, bottom = boxes[order].unbind(1)
    counts = torch.bincount(index.long(), minlength=len(maps[0])).tolist()
    rows = torch.split(_sample_weights(top, bottom, height, size[0]), counts)
    columns = torch.split(_sample_weights(left, right, width, size[1]), counts)
    images = zip(*(one.permute(0, 2, 3, 1).unbind(0) for one in maps), strict=True)
    parts = [_align(image, *weights) for image, *weights in zip(images, rows, columns, strict=True) if len(weights[0])]
    return torch.cat(parts)[order.argsort()].permute(0, 3, 1, 2)


def _align(image: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """``(n, height, width, C)`` for the n boxes of one image; its maps are ``(H, W, C_i)``."""
    count, height, _ = rows.shape
    bands = [(rows.flatten(0, 1) @ part.flatten(1, 2)).view(count, height, *part.shape[1:]) for part in image]
    band = torch.cat(bands, dim=-1).transpose(1, 2)
    return (columns @ band.flatten(2)).view(count, -1, height, band.shape[-1]).transpose(1, 2)


def _sample_weights(start: Tensor, end: Tensor, length: int, count: int) -> Tensor:
    """Weights ``(n, count, length)`` of ``length`` pixels in ``count`` cells from ``start`` to ``end``, in pixels."""
    step = (end - start) / (count * SAMPLES)
    points = start[:, None] - 0.5 + (torch.arange(count * SAMPLES) + 0.5) * step[:, None]
    inside = (points >= -1) & (points <= length)  # as the operator has it: further out is 0
    points = points.clamp(0, length - 1)
    before = points.floor().clamp(max=max(length - 2, 0))
    share = torch.stack([1 - points + before, points - before], dim=2) * inside[..., None] / SAMPLES
    pixels = torch.stack([before, (before + 1).clamp(max=length - 1)], dim=2).long()
    cells = (len(start), count, 2 * SAMPLES)
    return torch.zeros(len(start), count, length).scatter_add_(2, pixels.view(cells), share.view(cells))
