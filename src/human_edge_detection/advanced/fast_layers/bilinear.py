"""Bilinear enlargement whose gradient goes back the quick way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def enlarge(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``(N, C, h, w)`` to ``(N, C, *size)``, bilinear, corners not aligned.

    The backward pass of PyTorch has vectors and threads only for gradients that lie in memory with the channels last,
    while a loss hands back one that does not.
    """
    if images.device.type != "cpu" or torch.compiler.is_exporting():
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)
    answer: Tensor = _Enlarge.apply(images, size)
    return answer


class _Enlarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.size = images.shape, size
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        return torch.ops.aten.upsample_bilinear2d_backward(gradient, ctx.size, ctx.shape, False), None
