"""Normalisation folded into the convolutions before it, for models that only answer."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_normalisation(model: nn.Module) -> nn.Module:
    """Folds each ``BatchNorm2d`` that directly follows a ``Conv2d`` into its weights, in place; returns ``model``.

    In evaluation mode both are linear, so the answer is the same up to rounding, in less time: one pass over the
    activations less for each layer (Jacob et al., arXiv:1712.05877, section 3.2). Layers count as following each other
    when their parent registers them so, which holds for the encoders and heads of this package; a test compares the
    answers of each.

    Raises:
        ValueError: ``model`` is in training mode, where the statistics are those of the batch.
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
                setattr(parent, name, _after(norm))
    return model


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = weight, bias


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What the layer does besides normalising: `timm` has normalisation and activation in one."""
    rest = [part for part in norm.children() if not isinstance(part, nn.Identity)]
    for part in rest:
        if isinstance(part, nn.SiLU):
            part.inplace = True  # no gradient will ask for its input
    return nn.Sequential(*rest)
