"""A slim decoder: a feature pyramid with one output, well below the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from human_edge_detection.advanced.encoder_stages import cut_unused
from human_edge_detection.advanced.fast_layers.bilinear import upsample_bilinear
from human_edge_detection.advanced.hierarchical_segmentation_unet import PersonNetwork
from human_edge_detection.advanced.layers import separable


class PersonPyramid(PersonNetwork):
    """Encoder and feature pyramid.

    What costs time in a U-Net are convolutions at the size of the image and at half of it; here there are none.

    Args:
        encoder: Name of an encoder of `segmentation_models_pytorch`.
        depth: Stages of the encoder that are used; what only later ones need is left out.
        channels: Of the features.
        feature_stride: 2 or 4.
        roi_channels: Of what RoIAlign takes to the rois.
    """

    def __init__(self, encoder: str, *, depth: int, channels: int, feature_stride: int, roi_channels: int) -> None:
        parts = _Parts(encoder, depth, channels, feature_stride)
        super().__init__(parts, feature_channels=channels, feature_stride=feature_stride)
        self.narrow = nn.Conv2d(channels, roi_channels, 1)

    def for_rois(self, features: Tensor) -> Tensor:
        """The features in ``roi_channels`` channels, as RoIAlign takes its time for each."""
        narrow: Tensor = self.narrow(features)
        return narrow

    def last_shared_weight(self) -> nn.Parameter:
        """Weight of the pointwise convolution that makes the features."""
        weight = self.unet.decoder.mixed[0][1][0].weight
        assert isinstance(weight, nn.Parameter)
        return weight


class _Parts(nn.Module):
    """The parts, by the names that they have in a U-Net of `segmentation_models_pytorch`."""

    def __init__(self, encoder: str, depth: int, channels: int, feature_stride: int) -> None:
        super().__init__()
        self.encoder = smp.encoders.get_encoder(encoder, in_channels=3, depth=depth, weights=None)
        cut_unused(self.encoder)
        self.decoder = PyramidDecoder(self.encoder.out_channels, channels, first_stage=feature_stride.bit_length() - 1)
        self.segmentation_head = nn.Conv2d(channels, 1, 3, padding=1)


class PyramidDecoder(nn.Module):
    """Feature pyramid (FPN, Lin et al., arXiv:1612.03144) of which only the finest level is an output.

    We differ in three points. A level is mixed by a depthwise separable convolution, right after it was added to, so
    that the finest level sees the mixing of all coarser ones. The coarsest level, which may lie at stride 16 only, gets
    two such convolutions of 5x5 for a wider view. Upsampling is bilinear.

    Args:
        encoder_channels: Of all stages of the encoder, the image first.
        channels: Of all levels.
        first_stage: Number of the stage of the finest level; the image is 0.
    """

    def __init__(self, encoder_channels: Sequence[int], channels: int, *, first_stage: int) -> None:
        super().__init__()
        self.first_stage = first_stage
        stages = encoder_channels[first_stage:]
        self.lateral = nn.ModuleList(nn.Conv2d(stage, channels, 1) for stage in stages)
        self.context = nn.Sequential(*(separable(channels, channels, kernel=5) for _ in range(2)))
        self.mixed = nn.ModuleList(separable(channels, channels) for _ in stages[:-1])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of the encoder's stages, the image first -> ``(B, channels, H/s, W/s)``."""
        *finer, coarsest = features[self.first_stage :]
        # 1. The coarsest level, and what lies around each of its places.
        level: Tensor = self.lateral[-1](coarsest)
        level = level + self.context(level)
        # 2. From coarse to fine: enlarge, add the stage of the encoder, mix.
        for stage, lateral, mix in reversed(list(zip(finer, self.lateral, self.mixed, strict=False))):
            enlarged = upsample_bilinear(level, (stage.shape[-2], stage.shape[-1]))
            level = mix(enlarged + lateral(stage))
        return level
