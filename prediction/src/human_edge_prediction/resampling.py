"""Resizes images and pastes the map of a box into an image, in training, in evaluation and in prediction alike."""

from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

_MOST_PIXELS: Final = 32_000
"""Longest side that OpenCV's ``remap`` writes at once, a little less than its limit."""
Value = TypeVar("Value", np.float32, np.uint8)


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resizes an image: each axis is area-averaged where it shrinks and interpolated linearly where it grows.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``, of a type that OpenCV resizes.
        size: (height, width) of the output.

    Returns:
        ``(height, width)`` or ``(height, width, C)`` of the type of ``image``.
    """
    height, width = size
    # 1. Area averaging along the axes that shrink. 2. Bilinear interpolation along those that grow.
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    if smaller != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def paste_roi(
    values: NDArray[Value],
    roi: NDArray[np.floating],
    size: tuple[int, int],
    *,
    linear: bool,
    within: NDArray[np.floating] | None = None,
) -> tuple[tuple[slice, slice], NDArray[Value]]:
    """Resamples the map of a roi at the pixels of the image whose centres lie inside the roi.

    Inverse mapping: the centre of each pixel of the image is mapped into the map, where the value is interpolated.

    Args:
        values: ``(H, W)`` float32 or uint8 map that covers the roi.
        roi: ``(4,)`` x1, y1, x2, y2 as fractions of the image; may reach beyond it.
        size: ``(height, width)`` of the image, at any resolution.
        linear: Bilinear interpolation (for probabilities) instead of nearest neighbour (for classes).
        within: ``(4,)`` as ``roi``: only pixels in this box, too; None: all of the roi.

    Returns:
        The (rows, columns) of the image that are inside the roi, possibly none, and their values, ``(rows, columns)``.
    """
    limits = roi if within is None else within
    columns, at_x = _covered(roi[0::2], limits[0::2], size[1], values.shape[1])
    rows, at_y = _covered(roi[1::2], limits[1::2], size[0], values.shape[0])
    if not len(at_x) or not len(at_y):
        return (rows, columns), np.zeros((len(at_y), len(at_x)), values.dtype)
    interpolation = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    pasted = np.empty((len(at_y), len(at_x)), values.dtype)
    for top in range(0, len(at_y), _MOST_PIXELS):
        for left in range(0, len(at_x), _MOST_PIXELS):
            part = slice(top, top + _MOST_PIXELS), slice(left, left + _MOST_PIXELS)
            map_x, map_y = np.meshgrid(at_x[part[1]], at_y[part[0]])
            pasted[part] = cv2.remap(values, map_x, map_y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return (rows, columns), pasted


def _covered(
    roi: NDArray[np.floating], limits: NDArray[np.floating], length: int, samples: int
) -> tuple[slice, NDArray[np.float32]]:
    """The pixels of one axis inside a roi, and the position of each in the map.

    Args:
        roi: ``(2,)`` first and last position, excluded, as fractions of the image.
        limits: ``(2,)`` alike, that the pixels have to lie in, too.
        length: Pixels of the image.
        samples: Pixels of the map.

    Returns:
        The n pixels whose centres lie in both, and their ``(n,)`` positions, with the centre of the map's first pixel
        at 0, as OpenCV has it.
    """
    low, high = float(roi[0]) * length, float(roi[1]) * length
    start, end = max(low, float(limits[0]) * length), min(high, float(limits[1]) * length)
    first = max(0, int(np.ceil(start - 0.5)))
    last = max(first, min(length, int(np.ceil(end - 0.5))))
    centres = np.arange(first, last) + 0.5
    positions = (centres - low) * samples / max(high - low, 1e-9) - 0.5
    return slice(first, last), positions.astype(np.float32)
