"""Depthwise convolutions that keep clear of a slow kernel: the backward pass of oneDNN in bfloat16 on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that computes in float32 where a CPU would autocast it; it returns its input's type.

    A depthwise convolution is bound by memory, so bf16 units gain nothing, and its backward pass in bf16 takes several
    times as long as in float32 (``docs/decisions/0008``).
    """

    def forward(self, input: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`."""
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)


def replace_depthwise(model: nn.Module) -> None:
    """Makes each depthwise ``nn.Conv2d`` of ``model`` a :class:`DepthwiseConv2d`; weights and their names stay."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1:
            # In place: a new module would draw random weights and so change those of all that is built after it.
            module.__class__ = DepthwiseConv2d
