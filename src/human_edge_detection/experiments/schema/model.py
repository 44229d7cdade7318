"""The model section: encoder, sizes and heads of the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, create_model

from human_edge_detection.experiments.schema.base import BY_CONTENT, NO_EFFECT, Fraction, Section, Size
from human_edge_detection.experiments.schema.decoders import FEATURE_STRIDES, DecoderConfig, UnetDecoderConfig
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.experiments.schema.heads import BY_NAME, HEADS, OPTIONAL, Head


class AuxiliaryHeadConfig(Section):
    """A further output of the network, with the weight of its loss."""

    loss_weight: float = Field(0.5, gt=0.0)
    """Of its loss beside the others."""


MOST_PERSONS: Final = 100
"""That an exported model may find in an image."""


class DetectorConfig(AuxiliaryHeadConfig):
    """Finds the persons itself: where they are centred, and their boxes."""

    loss_weight: float = Field(0.2, gt=0.0)
    """Of both its losses. They are sums over places, with gradients as large as those of all other heads together."""
    min_score: Fraction = Field(0.3, json_schema_extra=NO_EFFECT)
    """Who is less likely is not found by the exported model; ``hed export --min_score`` changes it later. Metrics look
    at less likely ones too."""
    max_persons: int = Field(20, ge=1, le=MOST_PERSONS, json_schema_extra=NO_EFFECT)
    """Found by the exported model in an image, the likeliest."""


if TYPE_CHECKING:

    class _OptionalHeads(Section):
        detector: DetectorConfig | None = None
else:  # the fields come from the table of heads
    _OptionalHeads = create_model(
        "_OptionalHeads",
        __base__=Section,
        **{
            head.switch: (DetectorConfig | None if head.over == "images" else AuxiliaryHeadConfig | None, None)
            for head in OPTIONAL
        },
    )


class ModelConfig(_OptionalHeads):
    """The network: a U-Net over the whole image and a light head for each roi."""

    encoder: Encoder = "timm-efficientnet-b0"
    """The network that turns an image into features: most of the size of a model."""
    encoder_weights: str = Field("imagenet", json_schema_extra=BY_CONTENT)
    """``imagenet`` (of the folder ``HED_ENCODER_WEIGHTS``, cached or downloaded), ``none`` (random), a file, or a
    folder that holds one file that fits the encoder."""
    encoder_depth: Literal[4, 5] = 5
    """Stages of the encoder, each at half the size of the one before; 4 leaves out the last one, at stride 32, which
    has most of the weights. A U-Net has 5."""
    decoder: DecoderConfig = UnetDecoderConfig()
    """``--set model.decoder.kind=fpn --set model.feature_stride=4`` for a quick one."""
    feature_stride: Literal[1, 2, 4] = 1
    """Pixels of the image for each place of the decoder's features: 1 for ``unet``, 2 or 4 for ``fpn``. The person
    logit is brought to the size of the image, and rois see the image at its full size beside the features."""
    image_size: Size = (256, 256)
    """Of what the network sees; sides are multiples of 32. Larger sees smaller people, and
    costs time with the pixels."""
    roi_size: Size = (80, 60)
    """Of what is cut out around a person for the head; sides are multiples of 4."""
    mask_size: Size = (160, 120)
    """Of the mask of a person; not below ``roi_size``."""
    head: Literal["hierarchical", "plain", "none"] = "hierarchical"
    """``plain`` is one three-class head; ``none`` is the U-Net alone (binary person segmentation)."""
    head_channels: int = Field(32, ge=8, le=128)
    """Width of the head of a person."""
    pretrained_unet: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Checkpoint whose U-Net this one starts from."""
    pretrained_unet_config: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Experiment whose best checkpoint ``pretrained_unet`` stands for when no path is given."""
    init_from: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Checkpoint whose weights, all of them, this model starts from."""
    freeze_unet_epochs: int = Field(0, ge=0)
    """First epochs in which only the head learns."""

    @property
    def optional_heads(self) -> dict[str, AuxiliaryHeadConfig]:
        """The optional heads that are on, by name."""
        sections = {head.name: getattr(self, head.switch) for head in OPTIONAL}
        return {name: section for name, section in sections.items() if section is not None}

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that the network has."""
        return tuple(head for head in HEADS if self._has(head))

    def _has(self, head: Head) -> bool:
        if head.optional and head.name not in self.optional_heads:
            return False
        if head.over == "images":
            return True
        return self.head == "hierarchical" or (self.head == "plain" and not head.branch)

    @property
    def monitored_metric(self) -> str:
        """The validation metric that picks the best epoch: mIoU, or the person IoU of a model without roi head."""
        return "full_image_iou" if self.head == "none" else "miou"

    def disagreements(self) -> Iterator[str]:
        """Every rule that concerns more than one field, as ``path: problem``."""
        image, roi, mask = list(self.image_size), list(self.roi_size), list(self.mask_size)
        if any(side % 32 for side in image):
            yield f"model.image_size: sides must be multiples of 32, got {image}"
        strides = FEATURE_STRIDES[self.decoder.kind]
        if self.feature_stride not in strides:
            expected = " or ".join(map(str, strides))
            yield (
                f"model.feature_stride: decoder {self.decoder.kind!r} has features at stride {expected}, got "
                f"{self.feature_stride}; set model.feature_stride={strides[-1]}"
            )
        if self.decoder.kind == "unet" and self.encoder_depth != 5:
            yield f"model.encoder_depth: decoder 'unet' needs 5, got {self.encoder_depth}; set model.decoder.kind=fpn"
        if any(side % 4 for side in roi):
            yield f"model.roi_size: sides must be multiples of 4, got {roi}"
        if mask[0] < roi[0] or mask[1] < roi[1]:
            yield f"model.mask_size: must not be smaller than model.roi_size {roi}, got {mask}"
        for head in (BY_NAME[name] for name in self.optional_heads):
            if head.branch and self.head != "hierarchical":
                yield f"model.{head.name}: needs model.head 'hierarchical', got {self.head!r}"
        if self.detector is not None and self.head == "none":
            yield "model.detector: finds persons for a head of rois, and model.head is 'none'; use null"
        if self.freeze_unet_epochs and not (self.pretrained_unet or self.pretrained_unet_config):
            yield (
                "model.freeze_unet_epochs: a U-Net that was not pre-trained would stay random; give "
                "model.pretrained_unet"
            )
