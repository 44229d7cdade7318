"""Which file on this machine the weights of an encoder come from, told without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from human_edge_detection.experiments.schema.encoders import encoder_weights_in
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.weight_files import ENCODER_WEIGHTS_VARIABLE


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
    fitting = encoder_weights_in(path, config.encoder)
    return fitting[0] if len(fitting) == 1 else None
