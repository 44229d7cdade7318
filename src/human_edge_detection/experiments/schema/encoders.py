"""The table of encoders: their names, and what tells their weights in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from human_edge_detection.files.weight_files import WeightsSignature

Encoder = Literal[
    "timm-efficientnet-b0",
    "timm-efficientnet-b1",
    "timm-efficientnet-b2",
    "timm-efficientnet-b3",
    "timm-efficientnet-b4",
    "timm-efficientnet-b5",
    "timm-efficientnet-b6",
    "timm-efficientnet-b7",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
]

_EFFICIENTNET: Final = frozenset({"conv_stem", "bn1", "blocks", "conv_head", "bn2"})
_MOBILENET: Final = frozenset({"features"})
_RESNET: Final = frozenset({"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"})

ENCODER_SIGNATURES: Final[Mapping[Encoder, WeightsSignature]] = {
    "timm-efficientnet-b0": WeightsSignature(_EFFICIENTNET, 4_049_564, 49),
    "timm-efficientnet-b1": WeightsSignature(_EFFICIENTNET, 6_575_232, 69),
    "timm-efficientnet-b2": WeightsSignature(_EFFICIENTNET, 7_768_562, 69),
    "timm-efficientnet-b3": WeightsSignature(_EFFICIENTNET, 10_783_528, 78),
    "timm-efficientnet-b4": WeightsSignature(_EFFICIENTNET, 17_673_816, 96),
    "timm-efficientnet-b5": WeightsSignature(_EFFICIENTNET, 28_513_520, 116),
    "timm-efficientnet-b6": WeightsSignature(_EFFICIENTNET, 40_960_136, 134),
    "timm-efficientnet-b7": WeightsSignature(_EFFICIENTNET, 64_097_680, 163),
    "mobilenet_v2": WeightsSignature(_MOBILENET, 2_257_984, 52),
    "resnet18": WeightsSignature(_RESNET, 11_186_112, 20),
    "resnet34": WeightsSignature(_RESNET, 21_301_696, 36),
}
