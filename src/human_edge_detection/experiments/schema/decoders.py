"""The families of decoders: what makes features for every place of the image out of the encoder's stages."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from human_edge_detection.experiments.schema.base import Section

UNET_FEATURE_CHANNELS: Final = 16
"""Channels of the last block in every U-Net of `segmentation_models_pytorch` with depth 5."""

_PYRAMID_ROI_CHANNELS: Final = 24


class UnetDecoderConfig(Section):
    """The decoder of a U-Net (arXiv:1505.04597): features at the size of the image, most of the model's time."""

    kind: Literal["unet"] = "unet"

    @property
    def feature_channels(self) -> int:
        """Channels of the features."""
        return UNET_FEATURE_CHANNELS

    @property
    def roi_channels(self) -> int:
        """Channels of what RoIAlign takes of them to the rois."""
        return UNET_FEATURE_CHANNELS


class FpnDecoderConfig(Section):
    """A feature pyramid (arXiv:1612.03144) with one output, at stride 2 or 4: a small part of the encoder's time."""

    kind: Literal["fpn"] = "fpn"
    channels: int = Field(64, ge=8, le=256)
    """Of every level, and of the features."""

    @property
    def feature_channels(self) -> int:
        """Channels of the features."""
        return self.channels

    @property
    def roi_channels(self) -> int:
        """Channels of what RoIAlign takes of them to the rois: each costs as much as a layer of the head."""
        return _PYRAMID_ROI_CHANNELS


DecoderConfig = Annotated[UnetDecoderConfig | FpnDecoderConfig, Field(discriminator="kind")]
DECODER_CONFIGS: Final[dict[str, type[Section]]] = {
    section.model_fields["kind"].default: section for section in get_args(get_args(DecoderConfig)[0])
}
"""Sections by kind."""
FEATURE_STRIDES: Final[dict[str, tuple[int, ...]]] = {"unet": (1,), "fpn": (2, 4)}
"""Kind of decoder -> strides that its features may have."""
