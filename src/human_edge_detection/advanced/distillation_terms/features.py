"""Distillation of decoder features: the features themselves through a learned adapter, and where they are strong."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.positions import full_precision, pair_of
from human_edge_detection.experiments.schema.distillation import AtConfig, FeatConfig

_EPSILON = 1e-12


class FeatureAdapter(nn.Conv2d):
    """1x1 convolution from the student's feature channels to the teacher's; starts as the identity, as far as both have
    channels.

    It belongs to the loss: trained and kept in the training state with the student, never part of it.
    """

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__(student_channels, teacher_channels, kernel_size=1)

    def reset_parameters(self) -> None:
        """The identity; draws no random number, so nothing else starts differently."""
        nn.init.dirac_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of features, relative to the teacher's mean square.

    Source: FitNets, Romero et al., arXiv:1412.6550, on the features before the last layer. We differ in dividing by the
    teacher's mean square: features have no unit, and without it a teacher with larger ones would mean a larger loss. A
    student whose features are 0 has 1.

    Size of the gradient for one value: ``2 * (student - teacher) / (values * mean square)``.

    Args:
        student: ``(B, C, H, W)``, after the adapter.
        teacher: The same shape; no gradient flows into it.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: Shapes differ.
    """
    student, teacher = pair_of(student, teacher, what="features")
    return functional.mse_loss(student, teacher) / teacher.square().mean().clamp(min=_EPSILON)


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the normalised attention maps, mean over the images.

    An attention map is the sum of squared features over the channels, so student and teacher may differ in channels.
    Source: Zagoruyko, Komodakis, "Paying More Attention to Attention", arXiv:1612.03928, with p = 2. We differ in
    *summing* over positions, as the formula of the paper does and its code does not: the maps have norm 1, and a mean
    would shrink with H and W. It is ``2 - 2 cos`` of the maps. Size of the gradient for one feature: at most
    ``8 * |feature| / (B * norm of the student's map)``.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, C', H, W)``; no gradient flows into it.

    Returns:
        Scalar in [0, 2].

    Raises:
        ValueError: Number of images, height or width differ.
    """
    strength = (full_precision(features).square().sum(dim=1) for features in (student, teacher))
    maps = pair_of(*strength, what="attention maps")
    unit = [functional.normalize(attention.flatten(1), dim=1, eps=_EPSILON) for attention in maps]
    return (unit[0] - unit[1]).square().sum() / max(len(student), 1)


FEATURE_TERMS = {FeatConfig: feature_distance, AtConfig: attention_distance}
ADAPTED = (FeatConfig,)
"""Those for which the student's features go through the adapter first."""
