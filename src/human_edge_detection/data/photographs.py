"""Reading a photograph from disk, and changing its size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.errors import DataError

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """The photograph as ``(H, W, 3)`` uint8 RGB, turned as its EXIF data says.

    Grey, CMYK, 16-bit and transparent pictures become 8-bit RGB.

    Raises:
        DataError: The file is missing, empty, cut off or not a picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"photograph {path} cannot be read ({error.strerror}); put the file there") from None
    if not content:
        raise DataError(f"photograph {path} is empty (0 bytes); download or copy it again")
    if _is_cut_off(content):
        raise DataError(f"photograph {path} is cut off after {len(content)} bytes; download or copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(f"photograph {path} cannot be decoded ({error.err}); replace the file") from None
    if image is None:
        raise DataError(f"photograph {path} is not a picture (it begins with {content[:12]!r}); replace the file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _is_cut_off(content: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing; OpenCV decodes half a JPEG to half a grey picture and says nothing.

    The end marker must come after the last scan: a small preview inside the file has an end marker of its own.
    """
    if content.startswith(_JPEG):
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(_PNG) and b"IEND" not in content


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
