"""The edges of masks, changed at will: rounded off, or moved outwards."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Place = tuple[slice, slice]
"""The (rows, columns) of an image."""


def smoothed(probability: NDArray[np.float32], cell: tuple[float, float]) -> NDArray[np.float32]:
    """The probability of a person without the steps that it has from being enlarged.

    Args:
        probability: ``(rows, columns)`` in [0, 1], at the resolution of the image.
        cell: (height, width) of what was one value before: as much is rounded off.
    """
    if not probability.size:
        return probability
    blurred = cv2.GaussianBlur(
        probability, (0, 0), sigmaX=cell[1] / 2, sigmaY=cell[0] / 2, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred, np.float32)


def dilated(
    place: Place, mask: NDArray[np.bool_], size: tuple[int, int], pixels: int
) -> tuple[Place, NDArray[np.bool_]]:
    """A mask that has grown in every direction, by a disk.

    Args:
        place: What ``mask`` covers.
        mask: ``(rows, columns)``.
        size: (height, width) of the image.
        pixels: By so many it grows.

    Returns:
        What the grown mask covers, and the mask.
    """
    before = [min(pixels, part.start) for part in place]
    after = [min(pixels, side - part.stop) for part, side in zip(place, size, strict=True)]
    wider = np.pad(mask.astype(np.uint8), list(zip(before, after, strict=True)))
    if not wider.size:
        return place, mask
    # The distance to the mask takes as long for any number of pixels; a disk of 1000 to be tried everywhere, minutes.
    distance = cv2.distanceTransform(1 - wider, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rows, columns = (
        slice(part.start - first, part.stop + last) for part, first, last in zip(place, before, after, strict=True)
    )
    return (rows, columns), (distance <= pixels) & bool(mask.any())
