"""Persons from a person map alone: its connected parts."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.instances import Instances
from human_edge_prediction.masks.probability import THRESHOLD, mask_of
from human_edge_prediction.resampling import paste_roi

_LEAST_AREA: Final = 1e-3
"""A part that covers less of the image is taken for noise."""
_MOST: Final = 100
"""Parts of an image; as many as COCO counts."""
_KERNEL: Final = np.ones((3, 3), np.uint8)
_WHOLE: Final = np.array([0.0, 0.0, 1.0, 1.0], np.float32)


def connected_persons(people: NDArray[np.float32], size: tuple[int, int]) -> Instances:
    """The connected parts of a person map, each of which is one person, or several who touch; the largest first.

    Args:
        people: ``(h, w)`` probability of any person, over the whole image at any resolution.
        size: (height, width) of the image.

    Returns:
        Each part with its box on the image, and the mean probability in it as score.
    """
    height, width = people.shape
    inside = (people > THRESHOLD).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    parts = [part for part in np.argsort(-areas, kind="stable") if part and areas[part] >= _LEAST_AREA * people.size]
    found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for part in parts[:_MOST]:
        # 1. Its pixels and those around it, which the enlarged edge lies between; nothing of another part.
        own = cv2.dilate((labels == part).astype(np.uint8), _KERNEL) > 0
        mask = np.where(own & ((labels == part) | (labels == 0)), people, np.float32(0))
        # 2. Its box on the image.
        left, top, columns, rows, _ = statistics[part]
        around = np.array([left - 1, top - 1, left + columns + 1, top + rows + 1], np.float32)
        around /= np.array([width, height, width, height], np.float32)
        box = _tight_box(mask, around, size)
        if box is not None:
            found.append((mask, box))
    masks = np.array([mask for mask, _ in found], np.float32).reshape(-1, height, width)
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4)
    frames = np.tile(_WHOLE, (len(found), 1))
    return Instances(boxes, np.zeros(len(found), np.float32), masks, frames).scored(size)


def _tight_box(
    mask: NDArray[np.float32], around: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float32] | None:
    """The box of the enlarged mask, as fractions of the image; None where no pixel is left of it."""
    (rows, columns), pixels, _ = mask_of(*paste_roi(mask, _WHOLE, size, linear=True, within=around))
    filled_rows, filled_columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(filled_rows):
        return None
    corners = (
        (columns.start + filled_columns[0]) / size[1],
        (rows.start + filled_rows[0]) / size[0],
        (columns.start + filled_columns[-1] + 1) / size[1],
        (rows.start + filled_rows[-1] + 1) / size[0],
    )
    return np.array(corners, np.float32)
