"""Blocks of layers that decoders and heads are made of."""

from __future__ import annotations

from torch import nn


def conv_block(
    channels_in: int, channels_out: int, *, stride: int = 1, groups: int = 1, kernel: int = 3
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU; height and width are kept, or divided by ``stride``."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def separable(channels_in: int, channels_out: int, *, kernel: int = 3) -> nn.Sequential:
    """Depthwise separable convolution (MobileNets, Howard et al., arXiv:1704.04861)."""
    return nn.Sequential(
        conv_block(channels_in, channels_in, groups=channels_in, kernel=kernel),
        conv_block(channels_in, channels_out, kernel=1),
    )
