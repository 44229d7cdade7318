"""Which pixels of an image are a person's: the one rule, of predictions and of the metrics alike.

The probability in a box is enlarged first and compared then: the other way round, edges would be as coarse as the
model's masks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.resampling import paste_roi

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


def mask_of(
    probability: NDArray[np.float32],
    frame: NDArray[np.float32],
    size: tuple[int, int],
    *,
    box: NDArray[np.float32] | None = None,
) -> Mask:
    """The mask of a person at the size of the image.

    Args:
        probability: ``(h, w)`` of the person, in ``frame``.
        frame: ``(4,)`` x1, y1, x2, y2 as fractions of the image: what ``probability`` covers.
        size: (height, width) of the image.
        box: ``(4,)`` alike, that the mask ends at; None: at the frame.
    """
    place, values = paste_roi(probability, frame, size, linear=True, within=box)
    pixels = values > THRESHOLD
    return Mask(place, pixels, float(values[pixels].mean()) if pixels.any() else 0.0)
