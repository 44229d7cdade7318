"""Batch normalisation folding: for inference, its scale and shift move into the convolution before it."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Folds each ``BatchNorm2d`` into the ``Conv2d`` that directly precedes it, in place, and returns ``model``.

    In evaluation mode both layers are affine, so the output is the same up to rounding, with one pass over the
    activations less for each pair (Jacob et al., arXiv:1712.05877, section 3.2). Two layers count as a pair when their
    parent registers them next to each other. That this is also their order in the forward pass holds for the encoders
    and heads of this package; a test compares the outputs of each.

    Raises:
        ValueError: ``model`` is in training mode, in which the statistics are those of the batch.
    """
    if model.training:
        raise ValueError("normalisation can be folded in evaluation mode only; call eval() first")
    for parent in model.modules():
        for (_, convolution), (name, norm) in pairwise(list(parent.named_children())):
            if (
                isinstance(convolution, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and convolution.out_channels == norm.num_features
            ):
                _fold(convolution, norm)
                setattr(parent, name, _without_normalisation(norm))
    return model


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Multiplies the weights of each output channel by ``gamma / sqrt(var + eps)`` and changes the bias to match."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = weight, bias


def _without_normalisation(norm: nn.BatchNorm2d) -> nn.Module:
    """The other steps of the layer: `timm` joins normalisation, dropout and activation into one layer."""
    rest = [part for part in norm.children() if not isinstance(part, nn.Identity)]
    for part in rest:
        if isinstance(part, nn.SiLU):
            part.inplace = True  # its input is not needed for a gradient
    return nn.Sequential(*rest)
