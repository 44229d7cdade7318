"""The table of encoders: their names, and what tells their weights in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from human_edge_detection.files.weight_files import WeightsSignature, weight_files_of

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
    "timm-tf_efficientnet_lite0",
    "tu-mobilenetv3_large_100",
    "tu-mobilenetv4_conv_small",
]

_EFFICIENTNET: Final = frozenset({"conv_stem", "bn1", "blocks", "conv_head", "bn2"})
_MOBILENET: Final = frozenset({"features"})
_TIMM_FEATURES: Final = frozenset({"conv_stem", "bn1", "blocks"})
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
    "timm-tf_efficientnet_lite0": WeightsSignature(_EFFICIENTNET, 3_413_024, 49),
    "tu-mobilenetv3_large_100": WeightsSignature(_TIMM_FEATURES, 2_996_352, 46),
    "tu-mobilenetv4_conv_small": WeightsSignature(_TIMM_FEATURES, 1_284_192, 45),
}
"""Of the whole encoder, as weights files have it; of one of timm's (``tu-``), without its wrapper."""
ENCODER_ANCESTORS: Final[Mapping[Encoder, Encoder]] = {"timm-tf_efficientnet_lite0": "timm-efficientnet-b0"}
"""Encoder -> another one whose weights it may start from, where a folder has none of its own: the same layers of the
same sizes, and others that are left out. Lite0 is B0 with ReLU6 for Swish and without squeeze-and-excitation."""


def encoder_weights_in(folder: Path, encoder: Encoder) -> list[Path]:
    """The files in ``folder`` that hold the weights of ``encoder``, sorted; where there are none, of its ancestor."""
    fitting = weight_files_of(folder, ENCODER_SIGNATURES[encoder])
    ancestor = ENCODER_ANCESTORS.get(encoder)
    return fitting if fitting or ancestor is None else weight_files_of(folder, ENCODER_SIGNATURES[ancestor])
