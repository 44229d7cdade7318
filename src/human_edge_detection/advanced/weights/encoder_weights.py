"""Loads the weights of a U-Net's encoder: from ImageNet, from a file, or from the one file of a folder that fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from human_edge_detection.advanced.weights.imagenet import imagenet_weights
from human_edge_detection.advanced.weights.state_dict import load_strictly, mismatch
from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES, read_torch_archive
from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.read import read_regular_file

logger = logging.getLogger(__name__)

_SUFFIXES = (".safetensors", ".pth", ".pt")
_MAX_WEIGHT = 1e10
"""Largest plausible weight; one whose highest exponent bit was flipped is above it, and torch would load it."""


def load_encoder_weights(encoder: nn.Module, encoder_name: str, weights: str) -> None:
    """Loads ``weights`` into ``encoder``, all tensors or none.

    Args:
        encoder: ``smp.Unet(encoder_name).encoder``.
        encoder_name: Its name, for the download and for messages.
        weights: ``imagenet`` (downloaded by `segmentation_models_pytorch`), ``none``, a file, or a folder.

    Raises:
        CheckpointError: There is no such file, no or more than one file that fits, the file is damaged, or there is no
            network for the download.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        load_strictly(encoder, imagenet_weights(encoder_name), source=f"ImageNet weights of {encoder_name}")
        return
    path = Path(weights)
    if path.is_dir():
        path = _file_that_fits(path, encoder, encoder_name)
    load_strictly(encoder, _read(path), source=f"--encoder_weights {path}: not the weights of {encoder_name}")
    logger.info("encoder %s starts from %s", encoder_name, path)


def _file_that_fits(folder: Path, encoder: nn.Module, encoder_name: str) -> Path:
    """The only weights file in ``folder`` whose tensors :func:`load_strictly` would accept."""
    candidates = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    fitting = [path for path in candidates if not mismatch(_read(path), encoder)]
    if len(fitting) != 1:
        found = ", ".join(path.name for path in fitting or candidates) or "no weights file"
        problem = "several files fit" if fitting else "no file fits"
        raise CheckpointError(f"--encoder_weights {folder}: {problem} {encoder_name} (found: {found}); name one file")
    return fitting[0]


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a weights file by name; refuses damaged files."""
    source = f"--encoder_weights {path}"
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
