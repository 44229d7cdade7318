"""Depthwise convolutions, trained in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Stride, padding and dilation."""
_PART: Final = 3
"""Columns of the widest depthwise weight whose gradient has a quick kernel; the number of rows makes no difference."""


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution whose backward pass keeps clear of the slow ones of oneDNN in bfloat16 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`."""
        learns = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        if not learns or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        assert isinstance(self.padding, tuple)
        geometry = (self.stride, self.padding, self.dilation)
        answer: Tensor = _DepthwiseInBf16.apply(input.bfloat16(), self.weight, geometry)
        return answer if self.bias is None else answer + self.bias.to(answer.dtype).view(-1, 1, 1)


class _DepthwiseInBf16(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose gradients take other ways where theirs are many times as slow.

    The gradient of the images with a stride is computed in float32; that of a weight with more than three columns in
    parts of three.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return functional.conv2d(images, weight.bfloat16(), None, *geometry, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        of_images = _of_images(gradients[0], images, weight, ctx.geometry) if ctx.needs_input_grad[0] else None
        of_weight = _of_weight(gradients[0], images, weight, ctx.geometry) if ctx.needs_input_grad[1] else None
        return of_images, of_weight, None


def _of_images(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    precision = torch.bfloat16 if geometry[0] == (1, 1) else torch.float32
    shape = torch.empty_like(images, dtype=precision)  # their values take no part
    return _convolution_backward(gradient.to(precision), shape, weight.to(precision), geometry, 0).to(images.dtype)


def _of_weight(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    stride, padding, dilation = geometry
    width = weight.shape[-1]
    if width <= _PART:
        return _convolution_backward(gradient, images, weight.bfloat16(), geometry, 1).to(weight.dtype)
    padded = functional.pad(images, (padding[1], padding[1], 0, 0))
    answer = torch.empty_like(weight)
    for start in (*range(0, width - _PART, _PART), width - _PART):
        columns = slice(start, start + _PART)
        first = start * dilation[1]
        seen = slice(first, first + (gradient.shape[-1] - 1) * stride[1] + (_PART - 1) * dilation[1] + 1)
        part = padded[..., seen].contiguous(memory_format=torch.channels_last)
        geometry = (stride, (padding[0], 0), dilation)
        answer[..., columns] = _convolution_backward(gradient, part, weight[..., columns].bfloat16(), geometry, 1)
    return answer


def _convolution_backward(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, wanted: int) -> Tensor:
    """The gradient of the images (``wanted`` 0) or of the weight (1) of a depthwise convolution, all of one type."""
    mask = [wanted == 0, wanted == 1, False]
    answer: Tensor = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, *geometry, False, [0, 0], len(weight), mask
    )[wanted]
    return answer
