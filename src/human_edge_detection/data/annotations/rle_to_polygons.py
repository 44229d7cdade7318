"""Outlines around the pixels of run lengths."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_TWO_BY_TWO: Final = np.ones((2, 2), np.uint8)


def trace(runs: dict[str, Any]) -> list[NDArray[np.float64]]:
    """``(P, 2)`` x and y of each outline around compressed run lengths; inside is what an odd number of them enclose.

    They go through the middle of each side that a pixel inside shares with one outside, which is where a mask that is
    interpolated linearly falls below one half. Those in a line stay: OpenCV rounds the ends of lines that it paints, so
    many short ones are nearer to the outline than a few long ones. Without a pixel inside there is no outline.
    """
    x, y, width, height = coco_mask.toBbox(runs).astype(int).tolist()
    if not width:
        return []
    mask = coco_mask.decode(runs).T[x : x + width, y : y + height]  # x is the row, as it lies in memory
    # On a grid twice as fine, pixels with all of their border: its outlines run along the border, not through centres.
    rimmed = cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
    doubled = cv2.resize(rimmed, (0, 0), fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    borders, _ = cv2.findContours(cv2.dilate(doubled, _TWO_BY_TWO), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outlines = (np.asarray(border[:, 0], np.int32) for border in borders)
    return [outline[(outline[:, 0] ^ outline[:, 1]) & 1 == 1, ::-1] / 2.0 + (x, y) for outline in outlines]
