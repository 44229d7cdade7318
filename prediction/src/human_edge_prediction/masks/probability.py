"""Which pixels of an image are a person's: the one rule, of predictions and of the metrics alike.

The probability in a box is enlarged first and compared then: the other way round, edges would be as coarse as the
model's masks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLD: Final = 0.5
"""Probability above which a pixel belongs to a person."""


class Mask(NamedTuple):
    """The pixels of one person.

    Attributes:
        place: The (rows, columns) of the image that ``pixels`` covers.
        pixels: ``(rows, columns)`` bool.
        score: Mean probability of the person's pixels in [0, 1]; 0 where there are none.
    """

    place: tuple[slice, slice]
    pixels: NDArray[np.bool_]
    score: float


def mask_of(place: tuple[slice, slice], probability: NDArray[np.float32]) -> Mask:
    """The pixels of a person, ``probability`` having been enlarged to the image.

    Args:
        place: The (rows, columns) of the image that ``probability`` covers.
        probability: ``(rows, columns)`` of the person in [0, 1].
    """
    pixels = probability > THRESHOLD
    return Mask(place, pixels, float(probability[pixels].mean()) if pixels.any() else 0.0)
