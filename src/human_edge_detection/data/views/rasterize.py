"""Where people are on a photograph, as outlines, which can be painted at any size without a mask of the photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.columns import PersonAnnotation
from human_edge_detection.data.annotations.polygons_and_rle import compress
from human_edge_detection.data.annotations.rle_to_polygons import trace
from human_edge_detection.data.views.warp import Matrix, transform

FULL: Final = 255
"""A pixel that is covered whole."""
_HALF: Final = 128
_SHIFT: Final = 6
"""Binary digits of a fraction of a pixel that OpenCV is given."""
_RIM: Final = 2
"""Pixels painted around what is asked for: OpenCV paints lines that lie outside along the border of its plane."""
_FAR: Final = float(2**23 * 2**_SHIFT)
"""Fractions of a pixel; what lies farther away is drawn as if it lay there, so that OpenCV's 32 bits suffice."""

Outline = NDArray[np.float64]
"""``(P, 2)`` x and y of the corners of a polygon."""
Shape = list[list[Outline]]
"""The union of its parts; a point is in a part when it is in an odd number of the part's polygons."""


def shape_of(annotation: PersonAnnotation, height: int, width: int) -> Shape:
    """That of an annotation on a photograph of this size. COCO's polygons overlap where they please."""
    if isinstance(annotation.segmentation, list):
        return [[outline] for outline in annotation.outlines]
    return [list(annotation.outlines) or trace(compress(annotation.segmentation, height, width))]


class Silhouettes:
    """The shapes of one photograph, in its pixels."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        """The shapes, one at least, are numbered as they come; each has a point. ``points`` are those of all."""
        shapes = list(shapes)
        outlines = [outline for shape in shapes for part in shape for outline in part]
        self.points = np.concatenate(outlines)
        self._ends = np.cumsum([0, *map(len, outlines)])
        ends = self._ends.tolist()
        slices = map(slice, ends, ends[1:])
        self._parts = [[[next(slices) for _ in part] for part in shape] for shape in shapes]

    def map(self, matrix: Matrix) -> Outline:
        """Where ``matrix`` maps the points of all shapes; for the functions below."""
        return transform(self.points, matrix)

    def paint(self, numbers: Iterable[int], points: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.uint8]:
        """How much of each pixel any of some shapes covers: nothing, about half, or all, 0 to :data:`FULL`.

        A border of one shape inside another counts half, so a mean over pixels that are inside is one half at least.

        Args:
            numbers: Of the shapes.
            points: From :meth:`map`, in pixels of the answer, and then from :func:`for_painting`.
            size: Height and width of the answer.
        """
        plane = np.zeros((size[0] + 2 * _RIM, size[1] + 2 * _RIM), np.uint8)
        for part in chain.from_iterable(self._parts[number] for number in numbers):
            corners = [points[where] for where in part]
            # OpenCV also fills all pixels that an outline runs through; about half of each lies inside.
            cv2.fillPoly(plane, corners, FULL, shift=_SHIFT)
            cv2.polylines(plane, corners, True, _HALF, shift=_SHIFT)
        return plane[_RIM:-_RIM, _RIM:-_RIM]

    def boxes(self, count: int, points: Outline, window: Outline) -> NDArray[np.float64]:
        """``(count, 4)`` x1, y1, x2, y2 around what is seen of the first shapes in a convex window.

        Of a shape of which nothing is seen, x1 and y1 are larger than x2 and y2.

        Args:
            count: Of the shapes, one at least.
            points: From :meth:`map`.
            window: Its corners, clockwise on a screen.
        """
        starts = [parts[0][0].start for parts in self._parts[:count]]
        end = self._parts[count - 1][-1][-1].stop
        corners = points[:end].T
        boxes = _boxes(corners, corners, starts)
        distances = _distances(corners, window)
        if distances.min() >= 0:
            return boxes
        seen = _boxes(*_seen_of_edges(corners, self._next(corners), distances, self._next(distances)), starts)
        around = (boxes[:, None, :2] < window) & (window < boxes[:, None, 2:])
        for number, corner in np.argwhere(around.all(axis=2)).tolist():
            if self._encloses(number, points, window[corner]):
                seen[number] = _hull(seen[number], window[corner])
        return seen

    def _next(self, values: NDArray[Any]) -> NDArray[Any]:
        """``(k, P)`` values of each of the first P points as those of the point that follows along its outline."""
        ends = self._ends[1 : np.searchsorted(self._ends, values.shape[1]) + 1]
        following = np.empty_like(values)
        following[:, :-1] = values[:, 1:]
        following[:, ends - 1] = values[:, self._ends[: len(ends)]]
        return following

    def _encloses(self, number: int, points: Outline, corner: NDArray[np.float64]) -> bool:
        """Whether the corner of a window is in a polygon of a shape."""
        return any(
            cv2.pointPolygonTest(points[where].astype(np.float32), corner.tolist(), measureDist=False) > 0
            for where in chain.from_iterable(self._parts[number])
        )


def for_painting(points: Outline) -> NDArray[np.int32]:
    """``(P, 2)`` points as :meth:`Silhouettes.paint` takes them."""
    # OpenCV counts from the centre of a pixel.
    fixed = np.rint(points * 2.0**_SHIFT + (_RIM - 0.5) * 2**_SHIFT)
    return np.clip(fixed, -_FAR, _FAR).astype(np.int32, order="C")


def _boxes(low: NDArray[Any], high: NDArray[Any], starts: Sequence[int]) -> NDArray[np.float64]:
    """``(n, 4)`` around the points ``(2, P)`` from each of n starts to the next."""
    extremes = np.minimum.reduceat(low, starts, axis=1), np.maximum.reduceat(high, starts, axis=1)
    boxes: NDArray[np.float64] = np.concatenate(extremes).T
    return boxes


def _hull(box: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.minimum(box[:2], point), np.maximum(box[2:], point)])


def _seen_of_edges(
    start: NDArray[Any], end: NDArray[Any], distances: NDArray[Any], after: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Smallest and largest x and y, each ``(2, P)``, of the part of each edge in a convex window; infinite: no part.

    With the corners of the window in a polygon no other points can be extremes of the polygon's part in the window.

    Args:
        start: ``(2, P)`` first ends.
        end: ``(2, P)`` last ends.
        distances: Of ``start``, from :func:`_distances`.
        after: Of ``end``.
    """
    way = end - start
    with np.errstate(divide="ignore", invalid="ignore"):  # along a side: of no account, or outside of it
        share = distances / (distances - after)
        enters = np.where(distances < 0, share, 0.0).max(axis=0)
        leaves = np.where(after < 0, share, 1.0).min(axis=0)
        one, other = start + enters * way, start + leaves * way
    hidden = enters > leaves
    return (
        np.where(hidden, np.inf, np.minimum(one, other)),
        np.where(hidden, -np.inf, np.maximum(one, other)),
    )


def _distances(points: NDArray[Any], window: Outline) -> NDArray[Any]:
    """``(m, P)`` how far each point ``(2, P)`` is on the inner side of each of the m sides of a window."""
    along = window[[*range(1, len(window)), 0]] - window
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    distances: NDArray[Any] = normals @ points - (normals * window).sum(axis=1, keepdims=True)
    return distances
