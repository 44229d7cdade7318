"""Persons drawn on an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from human_edge_prediction.images import Image
    from human_edge_prediction.prediction import Person


def draw_prediction(image: Image, persons: Iterable[Person]) -> Image:
    """A copy of ``image`` with each person's mask."""
    drawn = image.copy()
    for person in persons:
        inside = drawn[person.place]
        inside[person.mask] = (inside[person.mask] * 0.5 + np.array([0, 114, 178]) * 0.5).astype(np.uint8)
        x1, y1, x2, y2 = (round(float(value)) for value in person.box)
        cv2.rectangle(drawn, (x1, y1), (x2, y2), (230, 159, 0), 1)
    return drawn
