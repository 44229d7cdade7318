"""Weights for a U-Net's encoder: downloaded, from a file, or from the one file in a folder that fits."""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from human_edge_detection.advanced.state_dict import load_strictly, mismatch
from human_edge_detection.errors import CheckpointError

logger = logging.getLogger(__name__)

_FILE_KINDS = (".safetensors", ".pth", ".pt")
# What torch.load raises for bytes that are no weights: its reader of pickles takes any byte for an instruction.
_NOT_WEIGHTS = (
    OSError,
    SafetensorError,
    UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def load_encoder_weights(encoder: nn.Module, encoder_name: str, weights: str) -> None:
    """Loads ``weights`` into ``encoder``, every tensor of it or none.

    Args:
        encoder: ``smp.Unet(encoder_name).encoder``.
        encoder_name: Its name, for the download and for messages.
        weights: ``imagenet`` (downloaded by `segmentation_models_pytorch`), ``none``, a file, or a folder.

    Raises:
        CheckpointError: No such file, no file that fits, or no network for the download.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        encoder.load_state_dict(_download(encoder_name))
        return
    path = Path(weights)
    if path.is_dir():
        path = _file_that_fits(path, encoder, encoder_name)
    load_strictly(encoder, _read(path), source=f"--encoder_weights {path}: not the weights of {encoder_name}")
    logger.info("encoder %s starts from %s", encoder_name, path)


def _download(encoder_name: str) -> Mapping[str, Tensor]:
    logger.info("loading ImageNet weights of %s, from the network when they are not cached", encoder_name)
    hub_log = logging.getLogger("huggingface_hub")
    level = hub_log.level
    hub_log.setLevel(logging.ERROR)
    try:
        state: Mapping[str, Tensor] = smp.encoders.get_encoder(encoder_name, weights="imagenet").state_dict()
    except OSError as error:
        raise CheckpointError(
            f"ImageNet weights of {encoder_name}: cannot be downloaded ({type(error).__name__}); "
            "give --encoder_weights PATH (a file or folder with them) or --encoder_weights none"
        ) from error
    finally:
        hub_log.setLevel(level)
    return state


def _file_that_fits(folder: Path, encoder: nn.Module, encoder_name: str) -> Path:
    candidates = sorted(path for path in folder.iterdir() if path.suffix in _FILE_KINDS)
    fitting = [path for path in candidates if not mismatch(_read(path), encoder)]
    if len(fitting) != 1:
        found = ", ".join(path.name for path in fitting or candidates) or "no weights file"
        problem = "several files fit" if fitting else "no file fits"
        raise CheckpointError(f"--encoder_weights {folder}: {problem} {encoder_name} (found: {found}); name one file")
    return fitting[0]


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"--encoder_weights {path}: no such file or folder; give a path, imagenet or none"
        ) from error
    except _NOT_WEIGHTS as error:
        raise CheckpointError(
            f"--encoder_weights {path}: not a readable weights file ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"--encoder_weights {path}: expected a state dict of tensors, got {type(state).__name__}")
    return state
