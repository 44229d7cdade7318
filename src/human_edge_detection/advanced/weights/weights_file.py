"""Reads files of weights that any program may have made: safetensors, or what ``torch.save`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load

from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES, read_torch_archive
from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.read import read_regular_file

_LENGTH_BYTES: Final = 8
"""Of the number that a safetensors file begins with; a JSON object follows."""


def read_weights(path: Path, source: str) -> Any:
    """What a file of weights holds: tensors by name, or dicts of such, with plain values beside them.

    Args:
        path: The file.
        source: What it is, for messages.

    Raises:
        CheckpointError: It is missing, no such file, damaged, or holds code.
    """
    try:
        content = read_regular_file(path, max_bytes=MAX_ARCHIVE_BYTES)
    except FileNotFoundError as error:
        raise CheckpointError(f"{source}: no such file or folder; give a path, imagenet or none") from error
    except OSError as error:
        raise CheckpointError(f"{source}: cannot be read ({error.strerror}); give another file") from error
    if path.suffix != ".safetensors" and content[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        return read_torch_archive(content, source=source)
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{source}: not a readable weights file ({type(error).__name__})") from error
