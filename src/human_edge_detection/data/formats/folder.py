"""What lies in a folder of a data set."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from human_edge_detection.errors import DataError
from human_edge_detection.files.read import read_regular_file

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jfif", ".mpo"}
)
"""Of image files. Some of these cannot be read, which is better said than passed over."""


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files with these suffixes (in lower case) in a folder and the folders in it, sorted.

    Without what is hidden and what macOS adds to archives.
    """
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    return sorted(path for path in found if not _is_hidden(path.relative_to(folder)) and path.is_file())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def read_bytes(file: Path, max_bytes: int) -> bytes:
    """The content of a file.

    Raises:
        DataError: It is missing, no file, or larger than ``max_bytes``.
    """
    try:
        return read_regular_file(file, max_bytes=max_bytes)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); put the file there") from None


def read_text(file: Path, max_bytes: int) -> str:
    """The content of a file in UTF-8.

    Raises:
        DataError: As :func:`read_bytes`, or it is not UTF-8.
    """
    try:
        return read_bytes(file, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
