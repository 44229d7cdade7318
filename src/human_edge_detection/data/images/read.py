"""Reading a photograph from disk, and changing its size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.images.header import PictureHeader, read_header
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import read_regular_file

_MAX_BYTES = 2**29
_JPEG = b"\xff\xd8"
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_photograph(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The photograph as ``(H, W, 3)`` uint8 RGB, turned as its EXIF data says.

    Grey, CMYK, 16-bit and transparent pictures become 8-bit RGB.

    Args:
        path: A JPEG, PNG, WebP or BMP file.
        size: Height and width that its annotation says; another size is refused before anything is decoded.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not a picture, huge or of another size.
    """
    return np.asarray(cv2.cvtColor(read_shrunk(path, size, 1)[0], cv2.COLOR_BGR2RGB), np.uint8)


def read_shrunk(path: Path, size: tuple[int, int] | None, most: float) -> tuple[NDArray[np.uint8], int]:
    """:func:`read_photograph` as BGR, as OpenCV decodes it, and with fewer pixels where that saves time.

    Args:
        path: A JPEG, PNG, WebP or BMP file.
        size: Height and width that its annotation says.
        most: Largest factor that it may be shrunk by.

    Returns:
        The photograph, and the factor that it is shrunk by: 1, or for a JPEG 2, 4 or 8, which its blocks can be
        decoded at. A pixel is about the mean of so many in a row and in a column; the last ones may reach outside.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not a picture, huge or of another size.
    """
    try:
        content, header = _read_whole(path, size)
        # Of other formats OpenCV would decode all and take every other pixel.
        factor = max(f for f in _REDUCED if f <= max(most, 1)) if content.startswith(_JPEG) else 1
        return _decode(content, header, _REDUCED[factor]), factor
    except DataError as error:
        raise DataError(f"photograph {path} {error}") from None


def photograph_problem(path: Path, size: tuple[int, int]) -> str | None:
    """What :func:`read_photograph` would refuse it for, or None; decodes at an eighth of the size, which is quicker."""
    try:
        content, header = _read_whole(path, size)
        _decode(content, header, cv2.IMREAD_REDUCED_COLOR_8)
    except DataError as error:
        return str(error)
    return None


def _read_whole(path: Path, size: tuple[int, int] | None) -> tuple[bytes, PictureHeader]:
    try:
        content = read_regular_file(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); put the file there") from None
    header = read_header(content)
    if size is not None and (header.height, header.width) != size:
        raise DataError(
            f"is {header.width} x {header.height} (width x height, turned as its EXIF data says), but its annotation "
            f"says {size[1]} x {size[0]}; annotate the photograph as it is"
        )
    return content, header


def _decode(content: bytes, header: PictureHeader, mode: int) -> NDArray[np.uint8]:
    try:
        # Turned here: which formats OpenCV turns by itself depends on its version.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"cannot be decoded ({error.err}); replace the file") from None
    if image is None:
        raise DataError("cannot be decoded; replace the file")
    return _turn(image, header.orientation).astype(np.uint8, copy=False)


def _turn(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The image as it is to be seen, from as it is stored; ``orientation`` is that of EXIF."""
    if orientation > 4:
        image, orientation = cv2.transpose(image), orientation - 4
    flip = {2: 1, 3: -1, 4: 0}.get(orientation)
    return image if flip is None else cv2.flip(image, flip)


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """``image`` stretched to ``size`` (height, width): averaged where it shrinks, interpolated where it grows."""
    height, width = size
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    if smaller != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def resample(planes: NDArray[Any], box: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """The part of ``planes`` inside ``box``, resampled to ``size``.

    Each answer is the mean over a window around its position: one answer pixel wide where the box shrinks (area
    averaging), one source pixel wide where it grows (which is bilinear interpolation). Exact for fractional boxes.

    Args:
        planes: ``(C, H, W)``.
        box: x1, y1, x2, y2 in pixels, inside the planes.
        size: Height and width of the answer.

    Returns:
        ``(C, height, width)`` float32.
    """
    rows, row_weights = _window_weights(box[1], box[3], planes.shape[1], size[0])
    columns, column_weights = _window_weights(box[0], box[2], planes.shape[2], size[1])
    part = planes[:, rows, columns].astype(np.float32)
    return (row_weights @ part @ column_weights.T).astype(np.float32, copy=False)


def _window_weights(start: float, end: float, length: int, count: int) -> tuple[slice, NDArray[np.float32]]:
    """Source pixels that ``count`` windows over ``[start, end]`` touch, and their ``(count, touched)`` weights."""
    step = (end - start) / count
    centres = start + (np.arange(count) + 0.5) * step
    half = max(step, 1.0) / 2
    first, last = max(int(np.floor(centres[0] - half)), 0), min(int(np.ceil(centres[-1] + half)), length)
    pixels = np.arange(first, last)
    covered = np.minimum(centres[:, None] + half, pixels + 1) - np.maximum(centres[:, None] - half, pixels)
    weights = np.clip(covered, 0.0, None)
    return slice(first, last), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
