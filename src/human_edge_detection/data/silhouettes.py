"""Where people are on a photograph, as outlines, which can be painted at any size without a mask of the photograph."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.segmentation import Segmentation, compress
from human_edge_detection.data.warp import Matrix, transform

FULL: Final = 255
"""A pixel that is covered whole."""
_HALF: Final = 128
_SHIFT: Final = 6
"""Binary digits of a fraction of a pixel that OpenCV is given."""
_TWO_BY_TWO: Final = np.ones((2, 2), np.uint8)
_RIM: Final = 2
"""Pixels painted around what is asked for: OpenCV paints lines that lie outside along the border of its plane."""
_FAR: Final = float(2**23)
"""Pixels; what lies farther away than that is drawn as if it lay there, so that OpenCV's 32 bits suffice."""

Outline = NDArray[np.float64]
"""``(P, 2)`` x and y of the corners of a polygon."""
Shape = list[list[Outline]]
"""The union of its parts; a point is in a part when it is in an odd number of the part's polygons."""


def shape_of(segmentation: Segmentation, height: int, width: int) -> Shape:
    """That of a checked segmentation in a photograph of this size.

    COCO's polygons overlap where they please. An outline of run lengths goes through the middle of each side that a
    pixel inside shares with one outside, which is where a mask that is interpolated linearly falls below one half.
    """
    if isinstance(segmentation, list):
        return [[np.array(polygon, np.float64).reshape(-1, 2)] for polygon in segmentation]
    runs = compress(segmentation, height, width)
    x, y, box_width, box_height = coco_mask.toBbox(runs).astype(int).tolist()
    mask = coco_mask.decode(runs).T[x : x + box_width, y : y + box_height]  # x is the row, as it lies in memory
    # On a grid twice as fine, pixels with all of their border: its outlines run along the border, not through centres.
    rimmed = cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
    doubled = cv2.resize(rimmed, (0, 0), fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    borders, _ = cv2.findContours(cv2.dilate(doubled, _TWO_BY_TWO), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outlines = (np.asarray(border[:, 0], np.int32) for border in borders)
    return [[outline[(outline[:, 0] ^ outline[:, 1]) & 1 == 1, ::-1] / 2.0 + (x, y) for outline in outlines]]


class Silhouettes:
    """The shapes of one photograph, in its pixels."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        """The shapes, one at least, are numbered as they come; each has a point. ``points`` are those of all."""
        shapes = list(shapes)
        outlines = [outline for shape in shapes for part in shape for outline in part]
        self.points = np.concatenate(outlines)
        ends = np.cumsum([0, *map(len, outlines)])
        self._next = np.arange(1, len(self.points) + 1)
        self._next[ends[1:] - 1] = ends[:-1]
        slices = map(slice, ends.tolist(), ends.tolist()[1:])
        self._parts = [[[next(slices) for _ in part] for part in shape] for shape in shapes]

    def map(self, matrix: Matrix) -> Outline:
        """Where ``matrix`` maps the points of all shapes; for the functions below."""
        return transform(self.points, matrix)

    def paint(self, numbers: Iterable[int], points: Outline, size: tuple[int, int]) -> NDArray[np.uint8]:
        """How much of each pixel any of some shapes covers: nothing, about half, or all, 0 to :data:`FULL`.

        A border of one shape inside another counts half, so a mean over pixels that are inside is one half at least.

        Args:
            numbers: Of the shapes.
            points: From :meth:`map`, in pixels of the answer.
            size: Height and width of the answer.
        """
        plane = np.zeros((size[0] + 2 * _RIM, size[1] + 2 * _RIM), np.uint8)
        # OpenCV counts from the centre of a pixel.
        fixed = np.rint(np.clip(points + (_RIM - 0.5), -_FAR, _FAR) * 2**_SHIFT).astype(np.int32, order="C")
        for part in chain.from_iterable(self._parts[number] for number in numbers):
            corners = [fixed[where] for where in part]
            # OpenCV also fills all pixels that an outline runs through; about half of each lies inside.
            cv2.fillPoly(plane, corners, FULL, shift=_SHIFT)
            cv2.polylines(plane, corners, True, _HALF, shift=_SHIFT)
        return plane[_RIM:-_RIM, _RIM:-_RIM]

    def box(self, number: int, points: Outline, window: Outline) -> NDArray[np.float64] | None:
        """``(4,)`` x1, y1, x2, y2 around what is seen of a shape in a convex window; None: nothing is.

        Args:
            number: Of the shape.
            points: From :meth:`map`.
            window: Its corners, clockwise on a screen.
        """
        slices = [*chain.from_iterable(self._parts[number])]
        whole = slice(slices[0].start, slices[-1].stop)
        corners = points[whole]
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        if _distances(box[[[0, 1], [2, 1], [2, 3], [0, 3]]], window).min() >= 0:
            return box
        inner = [
            corner
            for corner in window
            for where in slices
            if cv2.pointPolygonTest(points[where].astype(np.float32), corner.tolist(), measureDist=False) > 0
        ]
        edges = corners, points[self._next[whole]]
        extremes = np.concatenate([_ends_in_window(*edges, window), np.reshape(inner, (-1, 2))])
        return np.concatenate([extremes.min(axis=0), extremes.max(axis=0)]) if len(extremes) else None


def _ends_in_window(start: Outline, end: Outline, window: Outline) -> Outline:
    """The first ends of edges that lie in a convex window, and where edges cross its sides.

    With the corners of the window in a polygon no other points can be extremes of the polygon's part in the window.
    """
    sides, after = _distances(start, window), _distances(end, window)
    edge, side = np.nonzero((sides < 0) != (after < 0))
    share = sides[edge, side] / (sides[edge, side] - after[edge, side])
    crossings = start[edge] + share[:, None] * (end - start)[edge]
    others = _distances(crossings, window)
    others[np.arange(len(edge)), side] = 0  # on that side but for rounding
    return np.concatenate([start[(sides >= 0).all(axis=1)], crossings[(others >= 0).all(axis=1)]])


def _distances(points: Outline, window: Outline) -> NDArray[Any]:
    """``(P, m)`` how far each point is on the inner side of each of the m sides of a window."""
    along = np.roll(window, -1, axis=0) - window
    offset = points[:, None] - window[None]
    distances: NDArray[Any] = along[:, 0] * offset[..., 1] - along[:, 1] * offset[..., 0]
    return distances
