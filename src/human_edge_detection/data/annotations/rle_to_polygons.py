"""Polygons around the pixels of run-length encoding (RLE).

By border following (Suzuki and Abe, "Topological structural analysis of digitized binary images by border following",
CVGIP 30(1), 1985), as OpenCV has it, on a grid of twice the resolution.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_DILATION: Final = np.ones((2, 2), np.uint8)


def trace(runs: dict[str, Any]) -> list[NDArray[np.float64]]:
    """Converts compressed RLE to polygons, which enclose its pixels by the even-odd rule.

    A polygon has a corner at the middle of each pixel side between mask and background, which is where a linearly
    interpolated mask falls below one half. Collinear corners are kept: OpenCV rounds the ends of edges that it fills,
    so many short edges stay nearer to the border than a few long ones.

    Args:
        runs: Compressed RLE, ``{"size": [height, width], "counts": string or ASCII bytes}``, checked.

    Returns:
        For each border, outer ones and those of holes, ``(P, 2)`` float64 x and y in pixels; none for an empty mask.
    """
    # 1. The bounding box, so that only a crop is traced.
    x, y, width, height = coco_mask.toBbox(runs).astype(int).tolist()
    if not width:
        return []
    # 2. Decode. RLE is column-major, so the transposed crop, in which x is the row, is contiguous along its rows.
    mask = coco_mask.decode(runs).T[x : x + width, y : y + height]
    # 3. Double the resolution and dilate by one fine pixel: node 2i is then the left side of pixel i, node 2i + 1 its
    #    centre, and the outermost nodes of the mask lie on the sides of its pixels instead of at their centres.
    padded = cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
    doubled = cv2.resize(padded, (0, 0), fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    # 4. Follow the borders, every node of them.
    borders, _ = cv2.findContours(cv2.dilate(doubled, _DILATION), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outlines = (np.asarray(border[:, 0], np.int32) for border in borders)
    # 5. Keep the nodes at the middle of a side, where one coordinate is even and the other odd; back to x, y in pixels.
    return [outline[(outline[:, 0] ^ outline[:, 1]) & 1 == 1, ::-1] / 2.0 + (x, y) for outline in outlines]
