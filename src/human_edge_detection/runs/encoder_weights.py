"""Which file on this machine the weights of an encoder come from, told without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from human_edge_detection.experiments.schema.model import Encoder, ModelConfig
from human_edge_detection.files.weight_files import ENCODER_WEIGHTS_VARIABLE, weight_files_of

ENCODER_BYTES: Final[Mapping[Encoder, int]] = {
    "timm-efficientnet-b0": 16_198_648,
    "timm-efficientnet-b1": 26_301_480,
    "timm-efficientnet-b2": 31_074_800,
    "timm-efficientnet-b3": 43_134_736,
    "timm-efficientnet-b4": 70_696_032,
    "timm-efficientnet-b5": 114_055_008,
    "timm-efficientnet-b6": 163_841_616,
    "timm-efficientnet-b7": 256_392_024,
    "mobilenet_v2": 9_032_352,
    "resnet18": 44_744_608,
    "resnet34": 85_207_072,
}
"""Bytes of all weights of each encoder, by which its file in a folder is found."""


def encoder_weights_file(config: ModelConfig, environment: Mapping[str, str]) -> Path | None:
    """The file that ``config.encoder_weights`` stands for, as training will find it.

    Args:
        config: The network.
        environment: Of the process: ``HED_ENCODER_WEIGHTS`` may name a folder that ``imagenet`` stands for.

    Returns:
        None where the word alone says which weights these are (``none``, and ``imagenet`` from the hub, whose content
        is fixed, whether it has been downloaded yet or not); and where there is not exactly one file that fits.
    """
    given = config.encoder_weights
    if given == "imagenet":
        given = environment.get(ENCODER_WEIGHTS_VARIABLE) or "none"
        if not Path(given).is_dir():
            return None
    if given == "none":
        return None
    path = Path(given)
    if not path.is_dir():
        return path if path.is_file() else None
    fitting = weight_files_of(path, ENCODER_BYTES[config.encoder])
    return fitting[0] if len(fitting) == 1 else None
