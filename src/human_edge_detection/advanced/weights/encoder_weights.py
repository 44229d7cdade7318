"""Loads the weights of a U-Net's encoder: from ImageNet, from a file, or from the one file of a folder that fits."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from human_edge_detection.advanced.weights.imagenet import imagenet_weights
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES, read_torch_archive
from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.weight_files import ENCODER_WEIGHTS_VARIABLE, weight_files, weight_files_of

logger = logging.getLogger(__name__)

_MAX_WEIGHT = 1e10
"""Largest plausible weight; one whose highest exponent bit was flipped is above it, and torch would load it."""


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
    load_strictly(encoder, _read(path, source), source=f"{source}: not the weights of {encoder_name}")
    logger.info("encoder %s starts from %s", encoder_name, path)


def _file_of_the_variable(encoder: nn.Module, encoder_name: str) -> Path | None:
    """The weights file of ``encoder`` in the folder that the environment names; None when there is none."""
    named = os.environ.get(ENCODER_WEIGHTS_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise CheckpointError(f"{ENCODER_WEIGHTS_VARIABLE}={named}: no such folder; mend it, or unset it")
    fitting = weight_files_of(Path(named), _bytes(encoder))
    if len(fitting) > 1:
        raise CheckpointError(_several(f"{ENCODER_WEIGHTS_VARIABLE}={named}", encoder_name, fitting))
    return fitting[0] if fitting else None


def _file_of_the_folder(folder: Path, encoder: nn.Module, encoder_name: str) -> Path:
    """The only weights file in ``folder`` that has as much in it as ``encoder``."""
    fitting = weight_files_of(folder, _bytes(encoder))
    if len(fitting) > 1:
        raise CheckpointError(_several(f"--encoder_weights {folder}", encoder_name, fitting))
    if not fitting:
        found = _names(weight_files(folder)) or "no weights file"
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


def _bytes(encoder: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in encoder.state_dict().values())


def _read(path: Path, source: str) -> Mapping[str, Tensor]:
    """The tensors of a weights file by name; refuses damaged files."""
    try:
        content = read_regular_file(path, max_bytes=MAX_ARCHIVE_BYTES)
    except FileNotFoundError as error:
        raise CheckpointError(f"{source}: no such file or folder; give a path, imagenet or none") from error
    except OSError as error:
        raise CheckpointError(f"{source}: cannot be read ({error.strerror}); give another file") from error
    state = _read_safetensors(content, source) if path.suffix == ".safetensors" else _read_torch(content, source)
    for name, value in state.items():
        if _is_implausible(name, value):
            raise CheckpointError(f"{source}: damaged, the values of {name} are no weights; get the file again")
    return state


def _read_safetensors(content: bytes, source: str) -> Mapping[str, Tensor]:
    """The tensors of a file in the safetensors format."""
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{source}: not a readable weights file ({type(error).__name__})") from error


def _read_torch(content: bytes, source: str) -> Mapping[str, Tensor]:
    """The state dict in a file that ``torch.save`` wrote."""
    state = read_torch_archive(content, source=source)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{source}: expected a state dict of tensors, got {type(state).__name__}")
    return state


def _is_implausible(name: str, value: Tensor) -> bool:
    """Whether values are too large for weights, or variances are negative: signs of flipped bits."""
    if not value.is_floating_point():
        return False
    return bool((value.abs() > _MAX_WEIGHT).any() or (name.endswith("running_var") and (value < 0.0).any()))
