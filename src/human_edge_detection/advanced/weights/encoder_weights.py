"""Loads the weights of a U-Net's encoder: from ImageNet, from a file, or from the one file of a folder that fits."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from human_edge_detection.advanced.weights.fit import fit_weights, other_encoder
from human_edge_detection.advanced.weights.imagenet import imagenet_weights
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.advanced.weights.weights_file import read_weights
from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.weight_files import (
    ENCODER_WEIGHTS_VARIABLE,
    WeightsSignature,
    signature_of,
    weight_files,
    weight_files_of,
)

logger = logging.getLogger(__name__)


def load_encoder_weights(encoder: nn.Module, encoder_name: str, weights: str) -> None:
    """Loads ``weights`` into ``encoder``, all tensors or none.

    Args:
        encoder: ``smp.Unet(encoder_name).encoder``.
        encoder_name: Its name, for the download and for messages.
        weights: ``imagenet``, ``none``, a file, or a folder. ``imagenet`` is the file that fits in the folder
            ``HED_ENCODER_WEIGHTS``, else what is cached or downloaded.

    Raises:
        CheckpointError: There is no such file, no or more than one file that fits, the file is damaged, or there is no
            network for the download.
    """
    if weights == "none":
        return
    given, path = "--encoder_weights", Path(weights)
    if weights == "imagenet":
        found = _file_of_the_variable(encoder, encoder_name)
        if found is None:
            load_strictly(encoder, imagenet_weights(encoder_name), source=f"ImageNet weights of {encoder_name}")
            return
        given, path = ENCODER_WEIGHTS_VARIABLE, found
    elif path.is_dir():
        path = _file_of_the_folder(path, encoder, encoder_name)
    source = f"{given} {path}"
    content = read_weights(path, source)
    fit = fit_weights(content, encoder)
    if fit.problem:
        problem = other_encoder(content, encoder_name) or fit.problem
        raise CheckpointError(f"{source}: not the weights of {encoder_name}: {problem}")
    encoder.load_state_dict(fit.state)
    logger.info("encoder %s starts from %s%s", encoder_name, path, f": {fit.changes}" if fit.changes else "")


def _file_of_the_variable(encoder: nn.Module, encoder_name: str) -> Path | None:
    """The weights file of ``encoder`` in the folder that the environment names; None when there is none."""
    named = os.environ.get(ENCODER_WEIGHTS_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise CheckpointError(f"{ENCODER_WEIGHTS_VARIABLE}={named}: no such folder; mend it, or unset it")
    fitting = weight_files_of(Path(named), _signature(encoder))
    if len(fitting) > 1:
        raise CheckpointError(_several(f"{ENCODER_WEIGHTS_VARIABLE}={named}", encoder_name, fitting))
    return fitting[0] if fitting else None


def _file_of_the_folder(folder: Path, encoder: nn.Module, encoder_name: str) -> Path:
    """The only weights file in ``folder`` that holds weights of the size of ``encoder``."""
    fitting = weight_files_of(folder, _signature(encoder))
    if len(fitting) > 1:
        raise CheckpointError(_several(f"--encoder_weights {folder}", encoder_name, fitting))
    if not fitting:
        found = _names(weight_files(folder)) or "no weights file"
        below = sorted({path.parent for path in folder.glob("*/*") if weight_files(path.parent)})
        found += f"; there are some in {below[0]}" if below and not weight_files(folder) else ""
        raise CheckpointError(
            f"--encoder_weights {folder}: no file fits {encoder_name} (found: {found}); give another folder or a file"
        )
    return fitting[0]


def _several(source: str, encoder_name: str, files: Sequence[Path]) -> str:
    return (
        f"{source}: several files fit {encoder_name} ({_names(files)}); give one of them: --encoder_weights {files[0]}"
    )


def _names(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files)


def _signature(encoder: nn.Module) -> WeightsSignature:
    return signature_of({name: tuple(value.shape) for name, value in encoder.state_dict().items()})
