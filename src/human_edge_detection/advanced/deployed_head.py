"""Heads rewritten for export: the same logits up to rounding, in less time.

Besides arithmetic, a runtime spends its time on copies: concatenated channels, and conversions of the memory layout for
an operation without a kernel for the present one. So linear layers are merged and concatenations are replaced by sums.
Measured in ``benchmarks/inference.md``.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.advanced.fast_layers.bilinear import upsample_bilinear
from human_edge_detection.advanced.hierarchical_segmentation_unet import (
    Fuse,
    HierarchicalHead,
    Stem,
    box_coordinates,
)

_CHANNEL_STEP = 4
"""ONNX Runtime has a fast convolution only for multiples of this number of input channels."""


def deployed(head: nn.Module) -> nn.Module:
    """A copy of ``head`` for export.

    Args:
        head: In evaluation mode; changed in no way.

    Returns:
        A module from aligned features ``(N, C, h, w)`` to logits ``(N, 3, H, W)`` and an empty dict of further heads.

    Raises:
        ValueError: ``head`` is in training mode.
    """
    folded = fold_batch_norm(copy.deepcopy(head))
    for parent in list(folded.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, Stem):
                setattr(parent, name, _DeployedStem(module))
            elif isinstance(module, Fuse):
                setattr(parent, name, _DeployedFuse(module))
    return DeployedHead(folded) if isinstance(folded, HierarchicalHead) else folded


class DeployedHead(nn.Module):
    """`HierarchicalHead` with one convolution for the features of all branches and one for their logits.

    With the logit differences ``d = fg - bg`` and ``e = nontarget - target``, the softplus s and the correction c, the
    logits are ``c0 - s(d)``, ``c1 + d - s(d) - s(e)`` and ``c2 + d + e - s(d) - s(e)``. All but s is linear in the
    features. So one convolution gives ``c0``, ``c1 + d``, ``c2 + d + e``, ``d`` and ``e`` at the small size, bilinear
    upsampling, which is linear too, takes them to mask size, and only s is computed there.

    Args:
        head: In evaluation mode, with batch normalisation folded.
    """

    def __init__(self, head: HierarchicalHead) -> None:
        super().__init__()
        self.mask_size = head.mask_size
        self.trunk = head.trunk
        features = [_convolution(branch.features) for branch in head.branches.values()]
        self.features = _with_weights(
            torch.cat([branch.weight for branch in features]), torch.cat([_bias(branch) for branch in features])
        )
        self.linear_terms = _with_weights(*_linear_logits(head))

    def forward(self, aligned: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(N, C, h, w)`` -> logits ``(N, 3, H, W)``."""
        # 1. The five linear terms at the small size, then bilinear upsampling.
        terms = upsample_bilinear(self.linear_terms(self.features(self.trunk(aligned)).relu()), self.mask_size)
        # 2. Subtract the softplus of the two differences.
        linear, foreground, nontarget = torch.split(terms, [3, 1, 1], dim=1)
        first = _softplus(foreground)
        both = first + _softplus(nontarget)
        return linear - torch.cat([first, both, both], dim=1), {}


@torch.no_grad()
def _linear_logits(head: HierarchicalHead) -> tuple[Tensor, Tensor]:
    """The weight ``(5, F, 3, 3)`` and the bias of ``c0, c1 + d, c2 + d + e, d, e`` of F features (`DeployedHead`)."""
    # 1. The correction, a 1x1 convolution, is the middle of a 3x3 one.
    correction = head.correction
    weight, bias = correction.weight.new_zeros(5, correction.in_channels, 3, 3), correction.weight.new_zeros(5)
    weight[:3, :, 1:2, 1:2], bias[:3] = correction.weight, _bias(correction)
    # 2. Add d to the terms 1, 2 and 3, and e to 2 and 4: each is the difference of a branch's two output channels.
    start = 0
    for key, rows in (("bg_fg_logits", [1, 2, 3]), ("target_nontarget_logits", [2, 4])):
        branch = head.branches[key]
        end = start + branch.answer.in_channels
        first, second = branch.answer.weight
        weight[rows, start:end] += second - first
        first, second = _bias(branch.answer)
        bias[rows] += second - first
        start = end
    return weight, bias


def _softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` without overflow, from operations that runtimes have fast kernels for."""
    return x.relu() + torch.log(1 + torch.exp(-x.abs()))


class _DeployedStem(nn.Module):
    """`Stem` with its input padded by channels of zeros to a multiple of :data:`_CHANNEL_STEP`."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        original = _convolution(stem)
        self.zeros = -original.in_channels % _CHANNEL_STEP
        padding = original.weight.new_zeros(original.out_channels, self.zeros, 3, 3)
        self.convolution = _with_weights(torch.cat([original.weight, padding], dim=1), _bias(original))

    def forward(self, aligned: Tensor) -> Tensor:
        y, x = box_coordinates(aligned)
        zeros = [torch.zeros_like(y)] * self.zeros
        features: Tensor = self.convolution(torch.cat([aligned, y, x, *zeros], dim=1)).relu()
        return features


class _DeployedFuse(nn.Module):
    """`Fuse` without concatenation: each input has its own part of the weights, and the results are added.

    A depthwise convolution treats channels separately and a pointwise one is linear, so both split by input channels.
    """

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        depthwise, pointwise = (_convolution(block) for block in fuse.mix)
        (deep_weight, skip_weight), (deep_bias, skip_bias), (deep_pointwise, skip_pointwise) = (
            part.tensor_split([fuse.channels_in], dim=dim)
            for part, dim in ((depthwise.weight, 0), (_bias(depthwise), 0), (pointwise.weight, 1))
        )
        # The bias of the pointwise convolution is added once, with the first input.
        no_bias = torch.zeros_like(_bias(pointwise))
        self.deep = _separable(deep_weight, deep_bias, deep_pointwise, _bias(pointwise))
        self.skip = _separable(skip_weight, skip_bias, skip_pointwise, no_bias)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        deep = upsample_bilinear(deep, (2 * deep.shape[-2], 2 * deep.shape[-1]))
        mixed: Tensor = (self.deep(deep) + self.skip(skip)).relu()
        return mixed


def _separable(depthwise: Tensor, depthwise_bias: Tensor, pointwise: Tensor, pointwise_bias: Tensor) -> nn.Sequential:
    """A depthwise separable convolution: depthwise, ReLU, pointwise."""
    return nn.Sequential(
        _with_weights(depthwise, depthwise_bias, groups=len(depthwise)),
        nn.ReLU(),
        _with_weights(pointwise, pointwise_bias),
    )


def _convolution(block: nn.Module) -> nn.Conv2d:
    """The convolution that a block with folded normalisation begins with."""
    assert isinstance(block, nn.Sequential)
    convolution = block[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _bias(convolution: nn.Conv2d) -> Tensor:
    """The bias of a convolution, which has one after folding."""
    assert convolution.bias is not None
    return convolution.bias


def _with_weights(weight: Tensor, bias: Tensor, *, groups: int = 1) -> nn.Conv2d:
    """A convolution with these weights, stride 1, and padding that keeps height and width."""
    channels_out, channels_in, kernel, _ = weight.shape
    convolution = nn.Conv2d(channels_in * groups, channels_out, kernel, padding=kernel // 2, groups=groups)
    convolution.weight, convolution.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return convolution
