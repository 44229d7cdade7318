"""Loads the weights of a U-Net's encoder: from ImageNet, from a file, or from the one file of a folder that fits."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.encoder_stages import unwrapped
from human_edge_detection.advanced.weights.fit import Fit, fit_weights, other_encoder
from human_edge_detection.advanced.weights.imagenet import imagenet_weights
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.advanced.weights.weights_file import read_weights
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.encoders import ENCODER_ANCESTORS, Encoder, encoder_weights_in
from human_edge_detection.files.weight_files import ENCODER_WEIGHTS_VARIABLE, weight_files

logger = logging.getLogger(__name__)


def load_encoder_weights(encoder: nn.Module, encoder_name: Encoder, weights: str) -> None:
    """Loads ``weights`` into ``encoder``, all tensors or none.

    Args:
        encoder: ``smp.encoders.get_encoder(encoder_name)``, or what is left of it without its last stages.
        encoder_name: Its name, for the download and for messages.
        weights: ``imagenet``, ``none``, a file, or a folder. ``imagenet`` is the file that fits in the folder
            ``HED_ENCODER_WEIGHTS``, else what is cached or downloaded. A file may be of the encoder's ancestor.

    Raises:
        CheckpointError: There is no such file, no or more than one file that fits, the file is damaged, or there is no
            network for the download.
    """
    if weights == "none":
        return
    given, path = "--encoder_weights", Path(weights)
    if weights == "imagenet":
        found = _file_of_the_variable(encoder_name)
        if found is None:
            state = imagenet_weights(encoder_name)
            _load_part(encoder, state, source=f"ImageNet weights of {encoder_name}")
            return
        given, path = ENCODER_WEIGHTS_VARIABLE, found
    elif path.is_dir():
        path = _file_of_the_folder(path, encoder_name)
    source = f"{given} {path}"
    content = read_weights(path, source)
    fit = _fit(content, encoder_name)
    if fit.problem:
        problem = other_encoder(content, encoder_name) or fit.problem
        raise CheckpointError(f"{source}: not the weights of {encoder_name}: {problem}")
    _load_part(encoder, fit.state, source=source)
    logger.info("encoder %s starts from %s%s", encoder_name, path, f": {fit.changes}" if fit.changes else "")


def _fit(content: Any, encoder_name: Encoder) -> Fit:
    """The weights of the whole encoder in ``content``, or else its ancestor's."""
    fit = fit_weights(content, unwrapped(_whole(encoder_name)))
    ancestor = ENCODER_ANCESTORS.get(encoder_name)
    if not fit.problem or ancestor is None:
        return fit
    inherited = fit_weights(content, unwrapped(_whole(ancestor)))
    if inherited.problem:
        return fit
    changes = ", ".join(filter(None, [f"weights of {ancestor}, its other layers left out", inherited.changes]))
    return inherited._replace(changes=changes)


def _whole(encoder_name: Encoder) -> nn.Module:
    """The encoder with all its stages, without memory for its weights: for names and shapes."""
    with torch.device("meta"):
        whole: nn.Module = smp.encoders.get_encoder(encoder_name, weights=None)
    return whole


def _load_part(encoder: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Loads what ``encoder`` has of ``state``, which may be a larger encoder's."""
    module = unwrapped(encoder)
    load_strictly(module, {name: state[name] for name in module.state_dict() if name in state}, source=source)


def _file_of_the_variable(encoder_name: Encoder) -> Path | None:
    """The weights file of the encoder in the folder that the environment names; None when there is none."""
    named = os.environ.get(ENCODER_WEIGHTS_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise CheckpointError(f"{ENCODER_WEIGHTS_VARIABLE}={named}: no such folder; mend it, or unset it")
    fitting = encoder_weights_in(Path(named), encoder_name)
    if len(fitting) > 1:
        raise CheckpointError(_several(f"{ENCODER_WEIGHTS_VARIABLE}={named}", encoder_name, fitting))
    return fitting[0] if fitting else None


def _file_of_the_folder(folder: Path, encoder_name: Encoder) -> Path:
    """The only weights file in ``folder`` that holds weights of the size of the encoder."""
    fitting = encoder_weights_in(folder, encoder_name)
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
