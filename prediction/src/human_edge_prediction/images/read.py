"""Images from files and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import ImageFileError
from human_edge_prediction.images.header import read_header

Image = NDArray[np.uint8]
"""``(H, W, 3)`` RGB."""


def read_image(path: str | Path) -> Image:
    """Reads an image file as it is meant to be seen: turned as its EXIF orientation says, as 8 bit RGB.

    Args:
        path: A JPEG, PNG, WebP or BMP file. Grey becomes RGB, alpha is left out, 16 bit become 8.

    Raises:
        ImageFileError: It is missing, cut off, damaged, of another kind or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageFileError(f"image {path}: {'is not a file' if path.exists() else 'no such file'}")
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise ImageFileError(f"image {path}: cannot be read ({error.strerror}); check its permissions") from error
    except ImageFileError as error:
        raise ImageFileError(f"image {path} {error}") from None


def decode_image(content: bytes) -> Image:
    """The image in the bytes of a file; errors as of :func:`read_image`, whose messages lack their subject."""
    header = read_header(content)  # first, as OpenCV decodes half a JPEG to a half grey image
    try:
        # OpenCV is told to ignore the orientation: which formats it applies it to depends on its version.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ImageFileError(f"cannot be decoded ({error.err}); replace the file") from None
    if image is None:
        raise ImageFileError("cannot be decoded; replace the file")
    return np.asarray(cv2.cvtColor(oriented(image, header.orientation), cv2.COLOR_BGR2RGB), np.uint8)


def oriented(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Applies an EXIF orientation (1 to 8) to an image as it is stored: a transposition above 4, then a flip."""
    if orientation > 4:
        image, orientation = cv2.transpose(image), orientation - 4
    flip = {2: 1, 3: -1, 4: 0}.get(orientation)
    return image if flip is None else cv2.flip(image, flip)


def check_image(image: NDArray[Any]) -> Image:
    """``image`` itself, which has to be one.

    Raises:
        ImageFileError: It is not ``(H, W, 3)`` uint8, or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise ImageFileError(f"image: expected a path or an array (H, W, 3) uint8 RGB, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageFileError(
            f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}; cv2.cvtColor changes channels"
        )
    return image
