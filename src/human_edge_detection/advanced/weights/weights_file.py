"""Reads files of weights that any program may have made: safetensors, or what ``torch.save`` wrote."""

from __future__ import annotations

import os
import struct
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load

from human_edge_detection.advanced.weights.torch_archive import (
    MAX_ARCHIVE_BYTES,
    check_archive_ends,
    read_torch_archive,
)
from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.read import open_regular_file
from human_edge_detection.files.weight_files import MAX_DESCRIPTION_BYTES

_LENGTH: Final = struct.Struct("<Q")
"""The number that a safetensors file begins with: bytes of the JSON object that follows."""


def read_weights(path: Path, source: str) -> Any:
    """What a file of weights holds: tensors by name, or dicts of such, with plain values beside them.

    Args:
        path: The file.
        source: What it is, for messages.

    Raises:
        CheckpointError: It is missing, no such file, damaged, or holds code.
    """
    try:
        with open_regular_file(path, max_bytes=MAX_ARCHIVE_BYTES) as file:
            is_safetensors = _is_safetensors(file, path, source)
            if not is_safetensors:
                check_archive_ends(file, source=source)
            content = file.read()
    except FileNotFoundError as error:
        raise CheckpointError(f"{source}: no such file or folder; give a path, imagenet or none") from error
    except OSError as error:
        raise CheckpointError(f"{source}: cannot be read ({error.strerror}); give another file") from error
    if not is_safetensors:
        return read_torch_archive(content, source=source)
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{source}: not a readable weights file ({type(error).__name__})") from error


def _is_safetensors(file: BufferedReader, path: Path, source: str) -> bool:
    """Whether ``file``, which is at its beginning again afterwards, is to be read as safetensors.

    Raises:
        CheckpointError: It is called so, or begins nearly so, and is not: nothing of it need be read.
    """
    beginning = file.read(_LENGTH.size + 1)
    file.seek(0)
    described = beginning[_LENGTH.size :] == b"{"
    if path.suffix != ".safetensors" and not described:
        return False
    length = _LENGTH.unpack_from(beginning)[0] if described else 0
    if not described or length > min(MAX_DESCRIPTION_BYTES, os.fstat(file.fileno()).st_size):
        raise CheckpointError(f"{source}: not a readable weights file (it does not begin as safetensors do)")
    return True
