"""RoIAlign; on a CPU and where results must repeat, separable bilinear sampling as two matrix products."""

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
    thread. An exported graph uses the operator, and so does a GPU, unless its results must repeat: there the operator's
    backward pass adds with atomics, and what torchvision compiles in its place cannot be gone through twice, as the
    measurement of gradient shares does.

    Args:
        maps: Each ``(B, C_i, H, W)``, all of one height and width.
        rois: ``(N, 5)`` ``batch_index, x1, y1, x2, y2``, fractions of the image.
        size: (height, width) of the output.

    Returns:
        ``(N, sum of C_i, height, width)``, the channels in the order of ``maps``; under autocast, where it is matrix
        products, in its type, else float32.
    """
    height, width = maps[0].shape[-2:]
    index, left, top, right, bottom = rois.unbind(1)
    # Multiplied one by one: a tensor of the five factors would be copied to a GPU, which waits for all before.
    left, right, top, bottom = left * width, right * width, top * height, bottom * height
    if _takes_operator(maps[0].device):
        concatenated = torch.cat([part.float() for part in maps], dim=1)
        boxes = torch.stack([index, left, top, right, bottom], dim=1)
        aligned: Tensor = roi_align(concatenated, boxes, size, sampling_ratio=SAMPLES, aligned=True)
        return aligned
    # 1. Channels last, which needs no copy of the maps.
    image = index.long()
    last = [part.permute(0, 2, 3, 1) for part in maps]
    # 2. The weights of both axes for each box.
    rows, columns = _sample_weights(top, bottom, height, size[0]), _sample_weights(left, right, width, size[1])
    # 3. Two matrix products; on a GPU for all boxes at once, as to count those of an image would wait for it.
    if maps[0].device.type != "cpu":
        return _align([part[image] for part in last], rows, columns).permute(0, 3, 1, 2)
    return _align_by_image(last, image, rows, columns).permute(0, 3, 1, 2)


def _takes_operator(device: torch.device) -> bool:
    """Whether maps on ``device`` go through torchvision's operator; ``meta`` stands for a GPU."""
    if torch.compiler.is_exporting():
        return True
    return device.type != "cpu" and not (device.type == "cuda" and torch.are_deterministic_algorithms_enabled())


def _align_by_image(maps: Sequence[Tensor], index: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """RoIAlign of n boxes, those of one image at once; arguments as for :func:`_align`, and the image of each box."""
    order = index.argsort(stable=True)
    counts = torch.bincount(index, minlength=len(maps[0])).tolist()
    weights = zip(torch.split(rows[order], counts), torch.split(columns[order], counts), strict=True)
    images = zip(*(part.unbind(0) for part in maps), strict=True)
    parts = [_align(image, *both) for image, both in zip(images, weights, strict=True) if len(both[0])]
    return torch.cat(parts)[order.argsort()]


def _align(image: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """RoIAlign of n boxes.

    Args:
        image: Maps, each ``(H, W, C_i)`` when all boxes are of one image, else ``(n, H, W, C_i)``.
        rows: ``(n, height, H)`` weights.
        columns: ``(n, width, W)`` weights.

    Returns:
        ``(n, height, width, C)``.
    """
    # 1. Sums over rows, for each map alone: (n, height, W, C_i).
    count, height, _ = rows.shape
    bands = [(rows @ part.flatten(-2)).view(count, height, *part.shape[-2:]) for part in image]
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
    points = start[:, None] - 0.5 + (torch.arange(count * SAMPLES, device=start.device) + 0.5) * step[:, None]
    # 2. As in the operator: points up to one pixel outside are moved to the border, those further out count 0.
    inside = (points >= -1) & (points <= length)
    points = points.clamp(0, length - 1)
    # 3. Linear interpolation between the pixels before and after each point.
    before = points.floor().clamp(max=max(length - 2, 0))
    share = torch.stack([1 - points + before, points - before], dim=2) * inside[..., None] / SAMPLES
    pixels = torch.stack([before, (before + 1).clamp(max=length - 1)], dim=2).long()
    # 4. Add up the weights of the points of each cell.
    cells = (len(start), count, 2 * SAMPLES)
    return torch.zeros(len(start), count, length, device=start.device).scatter_add_(
        2, pixels.view(cells), share.view(cells)
    )
