"""Rasterises the polygons of annotations at any size, and clips them to get bounding boxes; no full-size mask is made.

Polygons are filled by OpenCV's scan-line filling with the even-odd rule, with coordinates in fixed-point numbers.
Edges are clipped by the parametric algorithm of Cyrus and Beck ("Generalized two- and three-dimensional clipping",
Computers & Graphics 3(1), 1978).
"""

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

_SUPERSAMPLING: Final = 2
"""Fine pixels along each side of a mask pixel."""
FULL: Final = 255
"""Value of a pixel that a shape covers completely."""
_HALF: Final = 128
"""Value of a pixel that an edge runs through; about half of it is inside."""
_FRACTION_BITS: Final = 6
"""Bits after the binary point of the fixed-point coordinates that OpenCV is given."""
_MARGIN_PX: Final = 2
"""Pixels painted around the output and cropped off: OpenCV draws lines outside of its plane along its border."""
_MAX_COORDINATE: Final = float(2**23 * 2**_FRACTION_BITS)
"""Largest fixed-point coordinate; points farther away are clipped to it, so that OpenCV's 32 bits suffice."""

Outline = NDArray[np.float64]
"""``(P, 2)`` x and y of the corners of a polygon; its last edge goes back to the first corner."""
Shape = list[list[Outline]]
"""The union of its parts; each part is a list of polygons, filled together by the even-odd rule."""


def shape_of(annotation: PersonAnnotation, height: int, width: int) -> Shape:
    """The shape of an annotation on an image of ``(height, width)`` pixels, with outlines in these pixels.

    COCO's polygons may overlap and are united, so each is a part of its own. Outlines around run lengths include those
    of holes, so they are one part.
    """
    if isinstance(annotation.segmentation, list):
        return [[outline] for outline in annotation.outlines]
    return [list(annotation.outlines) or trace(compress(annotation.segmentation, height, width))]


class ShapeSet:
    """The shapes of one image, in its pixels, with all corners in one array so that they are mapped at once."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        """Joins the corners of all shapes into ``points``, ``(P, 2)``.

        Args:
            shapes: At least one that has a point; they are numbered in this order. Those that :meth:`boxes` is asked of
                have one each.
        """
        shapes = list(shapes)
        outlines = [outline for shape in shapes for part in shape for outline in part]
        self.points = np.concatenate(outlines)
        self._ends = np.cumsum([0, *map(len, outlines)])
        ends = self._ends.tolist()
        slices = map(slice, ends, ends[1:])
        self._parts = [[[next(slices) for _ in part] for part in shape] for shape in shapes]

    def map(self, matrix: Matrix) -> Outline:
        """The points of all shapes, ``(P, 2)``, mapped by ``matrix``, as :meth:`paint` and :meth:`boxes` need them."""
        return transform(self.points, matrix)

    def paint(self, numbers: Iterable[int], points: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Rasterises the union of some shapes: the coverage of each pixel is none, about half, or :data:`FULL`.

        An edge of one shape inside another counts as half too, so the mean over pixels inside is at least one half.

        Args:
            numbers: Numbers of the shapes.
            points: From :meth:`map`, in pixels of the output, then from :func:`for_painting`.
            size: (height, width) of the output.

        Returns:
            ``(height, width)`` uint8 in {0, 128, 255}.
        """
        plane = np.zeros((size[0] + 2 * _MARGIN_PX, size[1] + 2 * _MARGIN_PX), np.uint8)
        for part in chain.from_iterable(self._parts[number] for number in numbers):
            corners = [points[where] for where in part]
            # 1. Scan-line filling, even-odd rule. OpenCV also fills every pixel that an edge runs through.
            cv2.fillPoly(plane, corners, FULL, shift=_FRACTION_BITS)
            # 2. Those get half coverage, which is about what lies inside.
            cv2.polylines(plane, corners, True, _HALF, shift=_FRACTION_BITS)
        # 3. Crop the margin off.
        return plane[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]

    def boxes(self, count: int, points: Outline, window: Outline) -> NDArray[np.float64]:
        """Bounding boxes of the first ``count`` shapes, clipped to a convex window.

        Extreme points of a clipped polygon lie on its clipped edges or at corners of the window inside the polygon, so
        no clipped polygon is built.

        Args:
            count: Number of shapes, at least one.
            points: From :meth:`map`.
            window: ``(m, 2)`` corners of the window, clockwise on a screen (y points down).

        Returns:
            ``(count, 4)`` x1, y1, x2, y2. Where no point of a shape is in the window, x1 > x2 and y1 > y2.
        """
        # 1. Bounding boxes of the whole shapes.
        starts = [parts[0][0].start for parts in self._parts[:count]]
        end = self._parts[count - 1][-1][-1].stop
        corners = points[:end].T
        boxes = _boxes(corners, corners, starts)
        # 2. When every corner is inside, there is nothing to clip.
        distances = _signed_distances(corners, window)
        if distances.min() >= 0:
            return boxes
        # 3. Bounding boxes of the edges, each clipped to the window.
        clipped = _boxes(*_clip_edges(corners, self._next(corners), distances, self._next(distances)), starts)
        # 4. Corners of the window inside a polygon; the bounding box of the shape leaves few to be tested.
        is_candidate = (boxes[:, None, :2] < window) & (window < boxes[:, None, 2:])
        for number, corner in np.argwhere(is_candidate.all(axis=2)).tolist():
            if self._encloses(number, points, window[corner]):
                clipped[number] = _extended(clipped[number], window[corner])
        return clipped

    def _next(self, values: NDArray[Any]) -> NDArray[Any]:
        """``(k, P)``: for each of the first P points, the values of the point that follows it along its polygon."""
        ends = self._ends[1 : np.searchsorted(self._ends, values.shape[1]) + 1]
        following = np.empty_like(values)
        following[:, :-1] = values[:, 1:]
        following[:, ends - 1] = values[:, self._ends[: len(ends)]]
        return following

    def _encloses(self, number: int, points: Outline, corner: NDArray[np.float64]) -> bool:
        """Whether a corner of the window lies inside a polygon of shape ``number``."""
        return any(
            cv2.pointPolygonTest(points[where].astype(np.float32), corner.tolist(), measureDist=False) > 0
            for where in chain.from_iterable(self._parts[number])
        )


class Grid:
    """The supersampled pixels of a box, on which shapes are rasterised."""

    def __init__(self, shapes: ShapeSet, points: Outline, box: Sequence[float], size: tuple[int, int]) -> None:
        """Maps points from fractions of the view to fine pixels of the box.

        Args:
            shapes: The shapes.
            points: Their points in fractions of the view.
            box: ``x1, y1, x2, y2`` in fractions of the view.
            size: (height, width) of the mask, in mask pixels.
        """
        x1, y1, x2, y2 = box
        self._size = size
        self._fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
        scale = np.array([self._fine[1] / (x2 - x1), self._fine[0] / (y2 - y1)])
        self._points = for_painting((points - (x1, y1)) * scale)
        self._shapes = shapes

    def paint(self, numbers: Iterable[int]) -> NDArray[np.uint8]:
        """How much of each fine pixel any of these shapes covers, 0 to :data:`FULL`."""
        return self._shapes.paint(numbers, self._points, self._fine)

    def mean(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The mean over the fine pixels of each mask pixel."""
        return np.asarray(cv2.resize(plane, self._size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def for_painting(points: Outline) -> NDArray[np.int32]:
    """Points in pixels of the output, ``(P, 2)``, as fixed-point numbers on the plane of :meth:`ShapeSet.paint`."""
    # To OpenCV's origin, the centre of the first pixel, shifted by the margin; then rounded to fixed point.
    fixed = np.rint(points * 2.0**_FRACTION_BITS + (_MARGIN_PX - 0.5) * 2**_FRACTION_BITS)
    return np.clip(fixed, -_MAX_COORDINATE, _MAX_COORDINATE).astype(np.int32, order="C")


def _boxes(low: NDArray[Any], high: NDArray[Any], starts: Sequence[int]) -> NDArray[np.float64]:
    """``(n, 4)`` bounding boxes of n groups of points; a group goes from its entry of ``starts`` to before the next.

    Args:
        low: ``(2, P)`` smallest x and y that each point stands for.
        high: ``(2, P)`` largest x and y.
        starts: n positions, ascending, the first 0.
    """
    extremes = np.minimum.reduceat(low, starts, axis=1), np.maximum.reduceat(high, starts, axis=1)
    boxes: NDArray[np.float64] = np.concatenate(extremes).T
    return boxes


def _extended(box: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest box around ``box`` and ``point``."""
    return np.concatenate([np.minimum(box[:2], point), np.maximum(box[2:], point)])


def _clip_edges(
    start: NDArray[Any], end: NDArray[Any], start_distances: NDArray[Any], end_distances: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Clips edges to a convex window (Cyrus-Beck) and returns the extremes of each clipped edge.

    Args:
        start: ``(2, P)`` first points.
        end: ``(2, P)`` last points.
        start_distances: ``(m, P)`` of ``start`` to the m sides of the window, from :func:`_signed_distances`.
        end_distances: ``(m, P)`` of ``end``.

    Returns:
        ``(2, P)`` smallest and ``(2, P)`` largest x and y of each clipped edge; inf and -inf where nothing is left.
    """
    direction = end - start
    # Division by zero: an edge parallel to a side. It is either inside of it, where the value is not used, or outside,
    # where the value is infinite and removes the edge.
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1. The fraction of the edge at which it crosses each side, as a line of infinite length.
        crossing = start_distances / (start_distances - end_distances)
        # 2. It enters the window at the last side that it crosses from outside, and leaves at the first to outside.
        enters = np.where(start_distances < 0, crossing, 0.0).max(axis=0)
        leaves = np.where(end_distances < 0, crossing, 1.0).min(axis=0)
        # 3. The points there.
        first, last = start + enters * direction, start + leaves * direction
    # 4. An edge that enters after it has left misses the window.
    is_outside = enters > leaves
    return (
        np.where(is_outside, np.inf, np.minimum(first, last)),
        np.where(is_outside, -np.inf, np.maximum(first, last)),
    )


def _signed_distances(points: NDArray[Any], window: Outline) -> NDArray[Any]:
    """``(m, P)`` distances of points ``(2, P)`` to the m sides of a convex window, positive inside.

    Each is multiplied by the length of its side: only signs and ratios are needed, so normals are not normalised.
    """
    sides = window[[*range(1, len(window)), 0]] - window
    # Inward normals: the sides turned by 90 degrees, as the corners go clockwise on a screen.
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1)
    distances: NDArray[Any] = normals @ points - (normals * window).sum(axis=1, keepdims=True)
    return distances
