"""Depthwise convolution with a fast backward pass for training in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Stride, padding and dilation, each (vertical, horizontal)."""
_MAX_FAST_COLUMNS: Final = 3
"""Most columns of a depthwise weight for whose gradient oneDNN has a fast kernel, with any number of rows."""


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that avoids the slow bfloat16 backward passes of oneDNN on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`: ``(B, C, H, W)`` to ``(B, C, H', W')``; under autocast on a CPU, bfloat16."""
        needs_gradient = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        if not needs_gradient or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        assert isinstance(self.padding, tuple)
        geometry = (self.stride, self.padding, self.dilation)
        output: Tensor = _DepthwiseInBf16.apply(input.bfloat16(), self.weight, geometry)
        return output if self.bias is None else output + self.bias.to(output.dtype).view(-1, 1, 1)


class _DepthwiseInBf16(torch.autograd.Function):
    """A depthwise convolution in bfloat16; its gradients avoid the cases in which oneDNN is many times slower.

    With a stride above 1, the gradient of the images is computed in float32. The gradient of a weight with more than
    three columns is computed in blocks of three columns.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return functional.conv2d(images, weight.bfloat16(), None, *geometry, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        images_grad = _images_gradient(gradients[0], images, weight, ctx.geometry) if ctx.needs_input_grad[0] else None
        weight_grad = _weight_gradient(gradients[0], images, weight, ctx.geometry) if ctx.needs_input_grad[1] else None
        return images_grad, weight_grad, None


def _images_gradient(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """The gradient of ``images``, from that of the output."""
    precision = torch.bfloat16 if geometry[0] == (1, 1) else torch.float32
    placeholder = torch.empty_like(images, dtype=precision)  # only the shape is used, not the values
    return _convolution_backward(gradient.to(precision), placeholder, weight.to(precision), geometry, 0).to(
        images.dtype
    )


def _weight_gradient(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """The gradient of ``weight``, from that of the output, in blocks of columns.

    A column of the weight is multiplied with the images shifted by its position, independently of other columns. So the
    gradient of some columns is that of a narrower convolution of a crop of the padded images.
    """
    stride, padding, dilation = geometry
    width = weight.shape[-1]
    if width <= _MAX_FAST_COLUMNS:
        return _convolution_backward(gradient, images, weight.bfloat16(), geometry, 1).to(weight.dtype)
    # 1. Horizontal padding, so that crops need none.
    padded = functional.pad(images, (padding[1], padding[1], 0, 0))
    weight_gradient = torch.empty_like(weight)
    # 2. Blocks of three columns; the last one ends with the weight and may overlap the one before it.
    for start in (*range(0, width - _MAX_FAST_COLUMNS, _MAX_FAST_COLUMNS), width - _MAX_FAST_COLUMNS):
        columns = slice(start, start + _MAX_FAST_COLUMNS)
        # 3. The columns of the images that these columns of the weight are multiplied with.
        first = start * dilation[1]
        covered = slice(first, first + (gradient.shape[-1] - 1) * stride[1] + (_MAX_FAST_COLUMNS - 1) * dilation[1] + 1)
        part = padded[..., covered].contiguous(memory_format=torch.channels_last)
        # 4. The gradient of the narrower convolution.
        geometry = (stride, (padding[0], 0), dilation)
        part_weight = weight[..., columns].bfloat16()
        weight_gradient[..., columns] = _convolution_backward(gradient, part, part_weight, geometry, 1)
    return weight_gradient


def _convolution_backward(gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, wanted: int) -> Tensor:
    """The gradient of the images (``wanted`` 0) or of the weight (1) of a depthwise convolution; all have one type."""
    mask = [wanted == 0, wanted == 1, False]
    result: Tensor = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, *geometry, False, [0, 0], len(weight), mask
    )[wanted]
    return result
