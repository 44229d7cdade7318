"""A roi's mask, back in the image that the roi was cut from."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", np.float32, np.uint8)


def paste_roi(
    values: NDArray[Value], roi: NDArray[np.floating], size: tuple[int, int], *, linear: bool
) -> tuple[tuple[slice, slice], NDArray[Value]]:
    """Samples a roi's map at the pixels of the image whose centres lie inside the roi.

    Args:
        values: ``(H, W)`` float32 or uint8 map that covers the roi.
        roi: ``(4,)`` x1, y1, x2, y2 as fractions of the image; may reach beyond it.
        size: ``(height, width)`` of the image, at any resolution.
        linear: Bilinear interpolation (probabilities) or the nearest value (classes).

    Returns:
        The (rows, columns) of the image that are covered, possibly none, and their values.
    """
    columns, at_x = _covered(float(roi[0]), float(roi[2]), size[1], values.shape[1])
    rows, at_y = _covered(float(roi[1]), float(roi[3]), size[0], values.shape[0])
    if not len(at_x) or not len(at_y):
        return (rows, columns), np.zeros((len(at_y), len(at_x)), values.dtype)
    map_x, map_y = np.meshgrid(at_x, at_y)
    interpolation = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    pasted = cv2.remap(values, map_x, map_y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return (rows, columns), pasted.astype(values.dtype, copy=False)


def _covered(start: float, end: float, length: int, samples: int) -> tuple[slice, NDArray[np.float32]]:
    """The pixels of one axis whose centres lie in ``[start, end)`` and where each falls among the ``samples``."""
    low, high = start * length, end * length
    first = max(0, int(np.ceil(low - 0.5)))
    last = max(first, min(length, int(np.ceil(high - 0.5))))
    centres = np.arange(first, last) + 0.5
    positions = (centres - low) * samples / max(high - low, 1e-9) - 0.5
    return slice(first, last), positions.astype(np.float32)
