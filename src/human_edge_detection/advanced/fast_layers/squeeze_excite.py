"""Squeeze-and-excitation (Hu et al., arXiv:1709.01507) with fewer passes over the images."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from timm.models import _efficientnet_blocks as efficientnet
from torch import Tensor, nn

_LEAST_PIXELS: Final = 512
"""Pixels of an image below which weights of its own cost a convolution more than weighing its input."""


class Weighted(NamedTuple):
    """Images whose channels are still to be multiplied.

    Attributes:
        images: ``(B, C, H, W)``.
        weights: ``(B, C, 1, 1)``.
    """

    images: Tensor
    weights: Tensor


class SqueezeExcite(efficientnet.SqueezeExcite):
    """That of `timm`, which leaves the multiplication to the convolution that follows."""

    def forward(self, x: Tensor) -> Tensor | Weighted:
        """``(B, C, H, W)``, each channel weighted by what the means of all channels say."""
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            product: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return product
        images, means = _Squeeze.apply(x)
        weights = self.gate(self.conv_expand(self.act1(self.conv_reduce(means))))
        return Weighted(images, weights)


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution after squeeze-and-excitation.

    Where it learns, the weights of an image's channels go into weights of the convolution for this image, which are
    few, instead of into its pixels, which are many and would have to be kept.
    """

    def forward(self, input: Tensor | Weighted) -> Tensor:
        """As :class:`torch.nn.Conv2d`."""
        if isinstance(input, Tensor):
            return super().forward(input)
        images, channel_weights = input
        batch, channels, height, width = images.shape
        if height * width < _LEAST_PIXELS or not torch.is_grad_enabled() or self.bias is not None:
            return super().forward(images * channel_weights)
        weight = self.weight.view(1, -1, channels) * channel_weights.view(batch, 1, channels)
        pixels = images.permute(0, 2, 3, 1).reshape(batch, -1, channels)
        answer: Tensor = pixels @ weight.transpose(1, 2).to(images.dtype)
        return answer.view(batch, height, width, -1).permute(0, 3, 1, 2)


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
        total: Tensor = of_images + of_means / ctx.pixels
        return total
