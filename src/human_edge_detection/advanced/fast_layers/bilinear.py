"""Bilinear upsampling with a fast backward pass on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def upsample_bilinear(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear upsampling with ``align_corners=False``.

    PyTorch's backward pass on a CPU is vectorised and multithreaded only for gradients in the memory format channels
    last, but the gradient from a loss is in the default format, so it is converted first.

    Args:
        images: ``(N, C, h, w)``.
        size: (height, width) of the output.

    Returns:
        ``(N, C, height, width)``.
    """
    if images.device.type != "cpu" or torch.compiler.is_exporting():
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)
    enlarged: Tensor = _BilinearUpsampling.apply(images, size)
    return enlarged


class _BilinearUpsampling(torch.autograd.Function):
    """PyTorch's bilinear upsampling, with the gradient converted to channels last."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.size = images.shape, size
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        return torch.ops.aten.upsample_bilinear2d_backward(gradient, ctx.size, ctx.shape, False), None
