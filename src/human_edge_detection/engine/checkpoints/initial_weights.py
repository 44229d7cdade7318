"""The weights that a new run starts from: of a checkpoint of this tool, or of a file that another program saved."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.weights.fit import load_fitted
from human_edge_detection.advanced.weights.weights_file import read_weights
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.errors import ForeignCheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

logger = logging.getLogger(__name__)

_UNET: Final = "unet.unet."
"""Before the names of the U-Net's weights in a checkpoint."""


def load_initial_weights(student: RgbPersonSegmenter, path: Path, config: ExperimentConfig) -> None:
    """Loads all weights of ``student`` from ``path``; every name and shape must be there.

    Raises:
        CheckpointError: It is missing, damaged, or of another network.
    """
    source, content, _ = _read(path, "--init_from")
    network = f"the weights of {config.name}"
    load_fitted(student, content, source=source, network=network, encoder=config.model.encoder)


def load_unet(student: RgbPersonSegmenter, path: Path, config: ExperimentConfig) -> None:
    """Loads the weights of ``student``'s U-Net from ``path``, whatever heads are there beside it.

    Raises:
        CheckpointError: It is missing, damaged, or of another U-Net.
    """
    source, content, experiment = _read(path, "--pretrained_unet")
    if experiment is not None:
        content = {name.removeprefix(_UNET): value for name, value in content.items() if name.startswith(_UNET)}
    network = f"a U-Net with {config.model.encoder}"
    load_fitted(student.unet.unet, content, source=source, network=network, encoder=config.model.encoder)
    logger.info("U-Net starts from %s (%s)", path, experiment or "saved by another program")


def _read(path: Path, flag: str) -> tuple[str, Any, str | None]:
    """What to call the file in messages, its tensors by name, and its experiment; None: another program's."""
    source = f"{flag} {path}"
    try:
        checkpoint, _ = read_checkpoint(path)
    except ForeignCheckpointError:
        return source, read_weights(path, source), None
    return source, checkpoint.model, checkpoint.config.name
