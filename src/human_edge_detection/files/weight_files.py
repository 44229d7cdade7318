"""Which file of a folder holds the weights of a network: told by how much it holds, so its head alone is read."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Final

ENCODER_WEIGHTS_VARIABLE: Final = "HED_ENCODER_WEIGHTS"
"""A folder where encoder weights are looked for before they are downloaded."""
_SAFETENSORS = ".safetensors"
_SUFFIXES = (_SAFETENSORS, ".pth", ".pt")
_LENGTH_BYTES = 8
"""Of the number at the start of a safetensors file, which is the length of the description that follows."""


def weight_files(folder: Path) -> list[Path]:
    """The weights files directly in ``folder``, sorted; none when it is no folder."""
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())


def weight_files_of(folder: Path, size: int) -> list[Path]:
    """The weights files in ``folder`` whose tensors have ``size`` bytes together, sorted.

    Networks of this package differ in that number; whether names and shapes fit too is seen when a file is loaded.
    """
    return [path for path in weight_files(folder) if tensor_bytes(path) == size]


def tensor_bytes(path: Path) -> int | None:
    """Bytes of all tensors in a file of safetensors or of ``torch.save``; None when it is neither."""
    try:
        return _safetensors_bytes(path) if path.suffix == _SAFETENSORS else _archive_bytes(path)
    except (OSError, ValueError, struct.error, zipfile.BadZipFile):
        return None


def _safetensors_bytes(path: Path) -> int:
    with path.open("rb") as file:
        (description,) = struct.unpack("<Q", file.read(_LENGTH_BYTES))
    return path.stat().st_size - _LENGTH_BYTES - int(description)


def _archive_bytes(path: Path) -> int:
    """Each tensor of a ``torch.save`` archive has a record ``<archive>/data/<number>``."""
    with zipfile.ZipFile(path) as archive:
        return sum(
            entry.file_size for entry in archive.infolist() if entry.filename.partition("/")[2].startswith("data/")
        )
