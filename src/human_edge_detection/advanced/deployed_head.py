"""The heads as an exported model has them: the same logits, up to rounding, in less time.

What a runtime spends its time on besides arithmetic are copies: joined channels, memory brought into another order for
an operation that has no kernel for the present one. Measured in ``benchmarks/inference.md``.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_normalisation
from human_edge_detection.advanced.fast_layers.bilinear import enlarge
from human_edge_detection.advanced.hierarchical_segmentation_unet import (
    Fuse,
    HierarchicalHead,
    Stem,
    box_coordinates,
)

_CHANNEL_STEP = 4
"""ONNX Runtime has its quick convolution for numbers of input channels that this divides."""


def deployed(head: nn.Module) -> nn.Module:
    """A copy of ``head`` for export: ``(N, C, h, w)`` to logits ``(N, 3, H, W)`` and no further heads.

    Raises:
        ValueError: ``head`` is in training mode.
    """
    folded = fold_normalisation(copy.deepcopy(head))
    for parent in list(folded.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, Stem):
                setattr(parent, name, _DeployedStem(module))
            elif isinstance(module, Fuse):
                setattr(parent, name, _DeployedFuse(module))
    return DeployedHead(folded) if isinstance(folded, HierarchicalHead) else folded


class DeployedHead(nn.Module):
    """`HierarchicalHead` with one convolution for the features of all branches and one for all answers.

    With ``d = fg - bg`` and ``e = nontarget - target`` the logits are ``c0 - s(d)``, ``c1 + d - s(d) - s(e)`` and
    ``c2 + d + e - s(d) - s(e)``, s the softplus and c the correction. Of these, everything but s is linear in the
    features, so a convolution gives ``c0, c1 + d, c2 + d + e, d, e``, and only s is left for mask size.

    Args:
        head: In evaluation mode, normalisation folded.
    """

    def __init__(self, head: HierarchicalHead) -> None:
        super().__init__()
        self.mask_size = head.mask_size
        self.trunk = head.trunk
        features = [_convolution(branch.features) for branch in head.branches.values()]
        self.features = _with_weights(
            torch.cat([one.weight for one in features]), torch.cat([_bias(one) for one in features])
        )
        self.answers = _with_weights(*_linear_answers(head))

    def forward(self, aligned: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(N, C, h, w)`` -> logits ``(N, 3, H, W)``."""
        answers = enlarge(self.answers(self.features(self.trunk(aligned)).relu()), self.mask_size)
        linear, foreground, nontarget = torch.split(answers, [3, 1, 1], dim=1)
        whole = _softplus(foreground)
        both = whole + _softplus(nontarget)
        return linear - torch.cat([whole, both, both], dim=1), {}


@torch.no_grad()
def _linear_answers(head: HierarchicalHead) -> tuple[Tensor, Tensor]:
    """Weight ``(5, features, 3, 3)`` and bias of ``c0, c1 + d, c2 + d + e, d, e``; see `DeployedHead`."""
    correction = head.correction
    weight, bias = correction.weight.new_zeros(5, correction.in_channels, 3, 3), correction.weight.new_zeros(5)
    weight[:3, :, 1:2, 1:2], bias[:3] = correction.weight, _bias(correction)
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
    """``log(1 + exp(x))``, finite for any x, from operations that runtimes have quick kernels for."""
    return x.relu() + torch.log(1 + torch.exp(-x.abs()))


class _DeployedStem(nn.Module):
    """`Stem` whose input is filled up with zeros to a number of channels that has a quick convolution."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        plain = _convolution(stem)
        self.zeros = -plain.in_channels % _CHANNEL_STEP
        unused = plain.weight.new_zeros(plain.out_channels, self.zeros, 3, 3)
        self.convolution = _with_weights(torch.cat([plain.weight, unused], dim=1), _bias(plain))

    def forward(self, aligned: Tensor) -> Tensor:
        y, x = box_coordinates(aligned)
        zeros = [torch.zeros_like(y)] * self.zeros
        features: Tensor = self.convolution(torch.cat([aligned, y, x, *zeros], dim=1)).relu()
        return features


class _DeployedFuse(nn.Module):
    """`Fuse` without joining: what each input adds to the mixture is computed alone, then added."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        depthwise, pointwise = (_convolution(block) for block in fuse.mix)
        (deep_weight, skip_weight), (deep_bias, skip_bias), (deep_share, skip_share) = (
            part.tensor_split([fuse.channels_in], dim=dim)
            for part, dim in ((depthwise.weight, 0), (_bias(depthwise), 0), (pointwise.weight, 1))
        )
        no_bias = torch.zeros_like(_bias(pointwise))
        self.deep = _separable(deep_weight, deep_bias, deep_share, _bias(pointwise))
        self.skip = _separable(skip_weight, skip_bias, skip_share, no_bias)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        deep = enlarge(deep, (2 * deep.shape[-2], 2 * deep.shape[-1]))
        mixed: Tensor = (self.deep(deep) + self.skip(skip)).relu()
        return mixed


def _separable(depthwise: Tensor, depthwise_bias: Tensor, pointwise: Tensor, pointwise_bias: Tensor) -> nn.Sequential:
    return nn.Sequential(
        _with_weights(depthwise, depthwise_bias, groups=len(depthwise)),
        nn.ReLU(),
        _with_weights(pointwise, pointwise_bias),
    )


def _convolution(block: nn.Module) -> nn.Conv2d:
    """The convolution that a folded block begins with."""
    assert isinstance(block, nn.Sequential)
    convolution = block[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias


def _with_weights(weight: Tensor, bias: Tensor, *, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size."""
    channels_out, channels_in, kernel, _ = weight.shape
    convolution = nn.Conv2d(channels_in * groups, channels_out, kernel, padding=kernel // 2, groups=groups)
    convolution.weight, convolution.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return convolution
