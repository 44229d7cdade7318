"""Squeeze-and-excitation (Hu et al., arXiv:1709.01507) with fewer passes over the images."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from timm.models import _efficientnet_blocks as efficientnet
from torch import Tensor, nn

_MIN_PIXELS: Final = 512
"""Least pixels of an image; with fewer it costs less to scale the input than to scale the weights for each image."""


class Weighted(NamedTuple):
    """Images and the factors of their channels, not multiplied yet.

    Attributes:
        images: ``(B, C, H, W)``.
        weights: ``(B, C, 1, 1)``, in [0, 1].
    """

    images: Tensor
    weights: Tensor


class SqueezeExcite(efficientnet.SqueezeExcite):
    """The layer of `timm`, except that the multiplication is left to the convolution that follows."""

    def forward(self, x: Tensor) -> Tensor | Weighted:
        """Computes the factor of each channel from the means of all channels.

        Args:
            x: ``(B, C, H, W)``.

        Returns:
            On a CPU, images and factors; on a GPU and in an exported graph their product ``(B, C, H, W)``.
        """
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            product: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return product
        # Squeeze: the mean of each channel. Excitation: two 1x1 convolutions and a sigmoid.
        images, means = _Squeeze.apply(x)
        weights = self.gate(self.conv_expand(self.act1(self.conv_reduce(means))))
        return Weighted(images, weights)


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution that follows squeeze-and-excitation.

    In training, the factors of an image's channels are multiplied into the weights of the convolution, which are few,
    and not into its pixels, which are many and would have to be kept for the backward pass. Each image then has weights
    of its own, so the convolution is a batched matrix product.
    """

    def forward(self, input: Tensor | Weighted) -> Tensor:
        """As :class:`torch.nn.Conv2d`: ``(B, C, H, W)`` to ``(B, output channels, H, W)``."""
        if isinstance(input, Tensor):
            return super().forward(input)
        images, channel_weights = input
        batch, channels, height, width = images.shape
        if height * width < _MIN_PIXELS or not torch.is_grad_enabled() or self.bias is not None:
            return super().forward(images * channel_weights)
        # 1. (B, output channels, C) weights, one matrix for each image.
        weight = self.weight.view(1, -1, channels) * channel_weights.view(batch, 1, channels)
        # 2. (B, H * W, C) pixels times its transpose; in channels last this is no copy.
        pixels = images.permute(0, 2, 3, 1).reshape(batch, -1, channels)
        output: Tensor = pixels @ weight.transpose(1, 2).to(images.dtype)
        return output.view(batch, height, width, -1).permute(0, 3, 1, 2)


class _Squeeze(torch.autograd.Function):
    """The images unchanged, and the mean of each channel ``(B, C, 1, 1)`` as a matrix product with ones.

    For a mean in bfloat16, PyTorch first makes a copy in float32; a matrix product accumulates in float32 without a
    copy. In the backward pass the gradients of both outputs are added in one pass, in the memory format of the first.
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
        images_gradient, means_gradient = gradients
        total: Tensor = images_gradient + means_gradient / ctx.pixels
        return total
