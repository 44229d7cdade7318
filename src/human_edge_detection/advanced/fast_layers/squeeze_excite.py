"""Squeeze-and-excitation (Hu et al., arXiv:1709.01507) with one pass over the images where PyTorch needs several."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import _efficientnet_blocks as efficientnet
from torch import Tensor


class SqueezeExcite(efficientnet.SqueezeExcite):
    """That of `timm`, with other means."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)``, each channel weighted by what the means of all channels say."""
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(x)
        images, means = _Squeeze.apply(x)
        weights: Tensor = self.gate(self.conv_expand(self.act1(self.conv_reduce(means))))
        return images * weights


class _Squeeze(torch.autograd.Function):
    """Images as they are, and the mean of each channel.

    In bfloat16 PyTorch means over a copy in float32; a matrix product adds up in float32 without. The gradients of
    both answers are added in one pass, in the order in memory of the first.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        batch, channels, height, width = images.shape
        ctx.pixels = height * width
        ones = images.new_ones((1, ctx.pixels)).expand(batch, 1, ctx.pixels)
        sums = torch.bmm(ones, images.permute(0, 2, 3, 1).reshape(batch, ctx.pixels, channels))
        return images, (sums / ctx.pixels).view(batch, channels, 1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        of_images, of_means = gradients
        return of_images + of_means / ctx.pixels
