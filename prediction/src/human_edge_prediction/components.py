"""Persons from a person map alone: its connected parts."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.instances import Instances

_LEAST_AREA: Final = 1e-3
"""A part that covers less of the image is noise."""
_THRESHOLD: Final = 0.5


def connected_persons(people: NDArray[np.float32]) -> Instances:
    """The connected parts of a person map, of which each is one person, or several who touch; the largest first.

    Args:
        people: ``(h, w)`` probability of any person, of the whole image at any resolution.

    Returns:
        Each part with its box; its score is the mean probability, its mask the probability in it and 0 elsewhere.
    """
    height, width = people.shape
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        (people > _THRESHOLD).astype(np.uint8), connectivity=8
    )
    parts = [number for number in range(1, count) if statistics[number, cv2.CC_STAT_AREA] >= _LEAST_AREA * people.size]
    parts.sort(key=lambda number: -statistics[number, cv2.CC_STAT_AREA])
    masks = np.array([np.where(labels == number, people, 0) for number in parts], np.float32).reshape(-1, *people.shape)
    corners = [
        (left, top, left + columns, top + rows) for left, top, columns, rows, _ in (statistics[part] for part in parts)
    ]
    boxes = np.array(corners, np.float32).reshape(-1, 4) / np.array([[width, height, width, height]], np.float32)
    scores = [float(people[labels == number].mean()) for number in parts]
    frames = np.tile(np.array([0, 0, 1, 1], np.float32), (len(parts), 1))
    return Instances(np.asarray(boxes, np.float32), np.array(scores, np.float32), masks, frames)
