"""Images from files and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import ImageFileError

Image = NDArray[np.uint8]
"""``(H, W, 3)`` RGB."""


def read_image(path: str | Path) -> Image:
    """Reads an image file as it is meant to be seen: turned as its EXIF orientation says, as 8 bit RGB.

    Args:
        path: A file of any kind that OpenCV reads. Grey becomes RGB, alpha is left out, 16 bit become 8.

    Raises:
        ImageFileError: It is missing, or no image.
    """
    path = Path(path)
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)  # OpenCV itself cannot open every path on Windows
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be read ({error.strerror}); give an image file") from error
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error as error:
        raise ImageFileError(f"{path}: OpenCV cannot decode it ({error.err}); save it anew") from error
    if image is None:
        raise ImageFileError(f"{path}: is no image that OpenCV can decode, or a damaged one; save it anew")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def check_image(image: NDArray[Any]) -> Image:
    """``image`` itself, which has to be one.

    Raises:
        ImageFileError: It is not ``(H, W, 3)`` uint8.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageFileError(f"image: expected a path or an array (H, W, 3) uint8 RGB, got {got}")
    if not image.size:
        raise ImageFileError(f"image: has no pixels, {image.shape}")
    return image
