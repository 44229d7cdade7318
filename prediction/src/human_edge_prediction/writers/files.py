"""Files that appear whole or not at all, in place of what has their name."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import ImageFileError, OutputError

JPEG_QUALITY = 92
_MOST_JPEG_PIXELS = 65_500
"""Longest side of a JPEG that is written."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file in one step; makes the folders that it lies in.

    Raises:
        OutputError: It cannot be written; what had its name is still there.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(folder: Path) -> None:
    """Makes a folder and a file in it, which is deleted again: what is only written at the end would be lost else.

    Raises:
        OutputError: It cannot be written into.
    """
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            temporary.touch()
    finally:
        forget(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, whose file gets the name ``path`` at the end, or is gone after an error.

    Raises:
        OutputError: It cannot be written.
    """
    temporary = temporary_for(path)
    try:
        with writing(path):
            yield temporary
            temporary.replace(path)
    except BaseException:
        forget(temporary)
        raise


def temporary_for(path: Path) -> Path:
    """A path beside ``path`` and with its suffix, in a folder that is there now.

    Raises:
        OutputError: The folder cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of the system leave as one line about ``path``.

    Raises:
        OutputError: In place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise OutputError(f"{path} cannot be written ({problem}); check free space and rights of its folder") from error


def forget(path: Path) -> None:
    """Deletes a file, if that is possible."""
    with suppress(OSError):
        path.unlink()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA as PNG."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order[pixels.shape[2]])
    return cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """``(H, W, 3)`` RGB as JPEG.

    Raises:
        ImageFileError: It is too long for one.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > _MOST_JPEG_PIXELS:
        raise ImageFileError(
            f"a picture of {width} x {height} pixels is too long for a JPEG, which has up to {_MOST_JPEG_PIXELS:,} on "
            "a side; cut the image, or leave out --save overlay and --show_steps"
        )
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
