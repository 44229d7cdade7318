"""Persons that were found on an image, each with a mask."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.masks.probability import Mask, mask_of
from human_edge_prediction.resampling import paste_roi


class Boxes(NamedTuple):
    """N boxes around persons.

    Attributes:
        boxes: ``(N, 4)`` float32 x1, y1, x2, y2 as fractions of the image.
        scores: ``(N,)`` float32 in [0, 1].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class Instances(NamedTuple):
    """N persons.

    Attributes:
        boxes: ``(N, 4)`` float32 x1, y1, x2, y2 as fractions of the image.
        scores: ``(N,)`` float32 in [0, 1].
        masks: ``(N, h, w)`` float32, probability of this person in [0, 1]; counts inside the box only.
        frames: ``(N, 4)`` float32, the part of the image that each mask covers, as ``boxes``; may reach beyond it.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.float32]
    frames: NDArray[np.float32]

    def of(self, kept: NDArray[np.bool_]) -> Instances:
        """Those of them that are kept, ``(N,)``."""
        return Instances(self.boxes[kept], self.scores[kept], self.masks[kept], self.frames[kept])

    def probability(self, number: int, size: tuple[int, int]) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """The probability of one person on an image of ``size``, (height, width): where, and there the values."""
        return paste_roi(self.masks[number], self.frames[number], size, linear=True, within=self.boxes[number])

    def mask(self, number: int, size: tuple[int, int]) -> Mask:
        """The pixels of one person on an image of ``size``, (height, width)."""
        return mask_of(*self.probability(number, size))

    def scored(self, size: tuple[int, int]) -> Instances:
        """The same, scored by their masks on an image of ``size``: for boxes that nobody has scored."""
        scores = [self.mask(number, size).score for number in range(len(self.boxes))]
        return self._replace(scores=np.array(scores, np.float32))

    def person_map(self, size: tuple[int, int], *, min_score: float = 0.0) -> NDArray[np.float32]:
        """The probability that anyone of the persons is at a pixel: the largest of theirs.

        Args:
            size: (height, width) of the image, at any resolution.
            min_score: Persons with a smaller score are left out.

        Returns:
            ``(height, width)`` in [0, 1].
        """
        people = np.zeros(size, np.float32)
        for number, score in enumerate(self.scores):
            if score >= min_score:
                where, values = self.probability(number, size)
                people[where] = np.maximum(people[where], values)
        return people
