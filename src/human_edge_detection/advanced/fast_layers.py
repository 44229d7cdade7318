"""Layers that compute what others do in less time, put in their place once a network is built.

Why each is there, and what it gains: ``docs/decisions/0008``.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.activations import Swish
from torch import Tensor, nn
from torch.nn import functional

Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Stride, padding and dilation."""


def use_fast_layers(model: nn.Module) -> None:
    """Makes each depthwise ``nn.Conv2d`` of ``model`` a :class:`DepthwiseConv2d`, each Swish PyTorch's own SiLU.

    Weights, their names and the random numbers drawn so far stay: classes are changed in place, as new modules would
    draw random weights and so change those of all that is built after them.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels == module.out_channels > 1:
            module.__class__ = DepthwiseConv2d
        elif type(module) is Swish:
            module.__class__ = nn.SiLU  # type: ignore[assignment]  # it has the same one attribute, `inplace`


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution whose backward pass keeps clear of the slow ones of oneDNN in bfloat16 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`."""
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        assert isinstance(self.padding, tuple)
        geometry = (self.stride, self.padding, self.dilation)
        answer: Tensor = _DepthwiseInBf16.apply(input.bfloat16(), self.weight, geometry)
        return answer if self.bias is None else answer + self.bias.to(answer.dtype).view(-1, 1, 1)


class _DepthwiseInBf16(torch.autograd.Function):
    """In bfloat16 but for two gradients that are many times as slow there as in float32.

    These are the gradient of the input with a stride, and the gradient of a weight larger than 3x3.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        return functional.conv2d(images, weight.bfloat16(), None, *geometry, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        (stride, _, _), kernel = ctx.geometry, weight.shape[-2:]
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            precision = torch.bfloat16 if stride == (1, 1) else torch.float32
            of_images = _backward(gradients[0], images, weight, ctx.geometry, precision, of_images=True)
        if ctx.needs_input_grad[1]:
            precision = torch.bfloat16 if max(kernel) <= 3 else torch.float32
            of_weight = _backward(gradients[0], images, weight, ctx.geometry, precision, of_images=False)
        return of_images, of_weight, None


def _backward(
    gradient: Tensor, images: Tensor, weight: Tensor, geometry: Geometry, precision: torch.dtype, *, of_images: bool
) -> Tensor:
    """The gradient of the images or of the weight, computed in ``precision``, in the type of either."""
    stride, padding, dilation = geometry
    # Of the images only the shape takes part in their own gradient.
    seen = torch.empty_like(images, dtype=precision) if of_images else images.to(precision)
    answer: Tensor
    *_, answer = (
        part
        for part in torch.ops.aten.convolution_backward(
            gradient.to(precision),
            seen,
            weight.to(precision),
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            len(weight),
            [of_images, not of_images, False],
        )
        if part is not None
    )
    return answer.to(images.dtype if of_images else weight.dtype)
