"""A training sample's picture, boxes and masks, made at the sizes that are wanted and nowhere larger.

The exact path in ``dataset.py``, which validation takes, averages masks as large as the photograph. Here outlines are
mapped and filled on a grid twice as fine as the answer. Labels follow the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import PeopleAnnotations
from human_edge_detection.data.annotations.columns import Photograph
from human_edge_detection.data.images.read import read_shrunk
from human_edge_detection.data.views.augment import FILL_COLOR, View
from human_edge_detection.data.views.rasterize import FULL, Outline, Silhouettes, for_painting, shape_of
from human_edge_detection.data.views.warp import ENOUGH, Matrix, inverse, scaling, strides, warp
from human_edge_detection.structures import IGNORE, NON_TARGET, TARGET

_FILL_BGR: Final = FILL_COLOR[::-1]
_FINER: Final = 2
_LEAST: Final = 0.5
"""Pixels of the photograph; of whom less is seen in width or height is not seen."""
_ROUNDING: Final = 1e-6
_UNIT: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
_WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


def view_images(
    people: PeopleAnnotations, photograph: Photograph, view: View, sizes: Sequence[tuple[int, int]]
) -> list[NDArray[np.uint8]]:
    """The same view of the photograph at each of ``sizes`` (height, width): ``(height, width, 3)`` uint8 RGB.

    Raises:
        DataError: The photograph is missing, damaged, or of another size than its annotation says.
    """
    full_size = (photograph.height, photograph.width)
    matrices = [scaling(width, height) @ view.matrix for height, width in sizes]
    most = min(min(strides(matrix)) for matrix in matrices) / ENOUGH
    image, factor = read_shrunk(people.images_dir / photograph.file_name, full_size, most)
    return [
        _finish(warp(image, matrix @ scaling(factor, factor), size, _FILL_BGR), view, full_size)
        for matrix, size in zip(matrices, sizes, strict=True)
    ]


def _finish(image: NDArray[np.uint8], view: View, full_size: tuple[int, int]) -> NDArray[np.uint8]:
    image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)  # here, where it has the fewest pixels
    if view.color is not None:
        image = view.color.apply(image)
    if view.blur:
        y, x = (view.blur * now / full for now, full in zip(image.shape[:2], full_size, strict=True))
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=x, sigmaY=y), np.uint8)
    return image


class PeopleInView:
    """The people of a photograph as a view shows them. Boxes are ``x1, y1, x2, y2`` in fractions of the view."""

    def __init__(self, photograph: Photograph, matrix: Matrix) -> None:
        """``matrix`` maps pixels of the photograph to fractions of the view."""
        height, width = photograph.height, photograph.width
        annotations = (*photograph.persons, *photograph.crowds)
        shapes = [shape_of(annotation, height, width) for annotation in annotations]
        frame = _UNIT * (width, height)
        self._extent = frame[2].tolist()
        self._silhouettes = Silhouettes([*shapes, [[frame]]])
        self._persons = len(photograph.persons)
        self._crowds = range(self._persons, len(shapes))
        self._frame = len(shapes)
        own = self._silhouettes.points
        self._on_photograph = bool((own.min(axis=0) >= -_ROUNDING).all() and (own <= frame[2] + _ROUNDING).all())
        self._points = self._silhouettes.map(matrix)
        self._back = inverse(matrix)[:2].tolist()

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """``(P, 4)`` tight boxes of what is seen of each person; zeros for one of whom nothing is."""
        window = self._window()
        if window is None or not self._persons:
            return np.zeros((self._persons, 4))
        boxes = self._silhouettes.boxes(self._persons, self._points, window)
        seen = ((boxes[:, 2:] - boxes[:, :2]) * self._extent >= _LEAST).all(axis=1, keepdims=True)
        return np.where(seen, boxes, 0.0)

    def roi_masks(
        self, boxes: NDArray[np.float64], targets: NDArray[np.intp], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """As :func:`~human_edge_detection.data.dataset.roi_masks`, within a tolerance that tests state.

        Args:
            boxes: ``(n, 4)``, not empty.
            targets: ``(n,)`` numbers of persons.
            size: Height and width of a mask.
        """
        masks = np.empty((len(boxes), *size), np.uint8)
        meets = self._meet(boxes)
        meets[range(len(boxes)), targets] = False
        for mask, box, target, others in zip(masks, boxes.tolist(), targets.tolist(), meets, strict=True):
            grid = _Grid(self._silhouettes, self._points, box, size)
            inside = self._photograph_on(grid, box)
            own = self._people_on(grid, [target], inside)
            anyone = np.maximum(own, self._people_on(grid, np.flatnonzero(others), inside)) if others.any() else own
            person, own = grid.mean(anyone), grid.mean(own)
            covered = person > FULL // 2
            is_target = own >= person - own
            np.add(_label(covered & is_target, TARGET), _label(covered & ~is_target, NON_TARGET), out=mask)
            ignored = self._ignored_on(grid, anyone, inside)
            if ignored is not None:
                mask += _label(ignored & ~covered, IGNORE)
        return masks

    def person_mask(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """As :func:`~human_edge_detection.data.dataset.person_mask`, within a tolerance that tests state."""
        grid = _Grid(self._silhouettes, self._points, _WHOLE, size)
        inside = self._photograph_on(grid, _WHOLE)
        anyone = self._people_on(grid, np.flatnonzero(self.boxes[:, 2]), inside)
        covered = grid.mean(anyone) > FULL // 2
        mask = _label(covered, 1)
        ignored = self._ignored_on(grid, anyone, inside)
        return mask if ignored is None else mask + _label(ignored & ~covered, IGNORE)

    def _meet(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """``(n, P)`` which persons' boxes overlap which ``boxes``."""
        starts = np.maximum(self.boxes[:, :2], boxes[:, None, :2])
        ends = np.minimum(self.boxes[:, 2:], boxes[:, None, 2:])
        return np.asarray((starts < ends).all(axis=2))

    def _photograph_on(self, grid: _Grid, box: Sequence[float]) -> NDArray[np.uint8] | None:
        """How much of each fine pixel the photograph covers; None: all of them."""
        x1, y1, x2, y2 = box
        width, height = self._extent
        (a, b, c), (d, e, f) = self._back
        for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2)):
            across, down = a * x + b * y + c, d * x + e * y + f
            if not (-_ROUNDING <= across <= width + _ROUNDING and -_ROUNDING <= down <= height + _ROUNDING):
                return grid.paint([self._frame])
        return None

    def _people_on(self, grid: _Grid, numbers: Iterable[int], inside: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """How much of each fine pixel these persons cover. Nobody is outside of the photograph."""
        plane = grid.paint(numbers)
        if inside is not None and not self._on_photograph:
            np.minimum(plane, inside, out=plane)
        return plane

    def _ignored_on(
        self, grid: _Grid, anyone: NDArray[np.uint8], inside: NDArray[np.uint8] | None
    ) -> NDArray[np.bool_] | None:
        """Which pixels do not count, for a crowd or the end of the photograph, unless anyone is there; None: all do."""
        if not self._crowds:
            return None if inside is None else grid.mean(inside) <= FULL // 2
        ignored = grid.paint(self._crowds)
        if inside is not None:
            np.maximum(ignored, FULL - inside, out=ignored)
        return grid.mean(np.minimum(ignored, FULL - anyone, out=ignored)) > FULL // 2

    def _window(self) -> Outline | None:
        """What of the view people can be seen in: where the photograph is; None: nowhere."""
        if self._on_photograph:
            return _UNIT
        area, window = cv2.intersectConvexConvex(
            self._points[-4:].astype(np.float32),  # the frame comes last
            _UNIT.astype(np.float32),
        )
        if area <= 0 or window is None:
            return None
        corners = np.asarray(window[:, 0], np.float64)
        return corners if cv2.contourArea(np.asarray(window), oriented=True) > 0 else corners[::-1]


class _Grid:
    """Fine pixels of a box, in which shapes are painted."""

    def __init__(self, silhouettes: Silhouettes, points: Outline, box: Sequence[float], size: tuple[int, int]) -> None:
        """``points`` are those of ``silhouettes`` in fractions of the view, as ``box``; ``size`` is of the answer."""
        x1, y1, x2, y2 = box
        self._size = size
        self._fine = (size[0] * _FINER, size[1] * _FINER)
        scale = np.array([self._fine[1] / (x2 - x1), self._fine[0] / (y2 - y1)])
        self._points = for_painting((points - (x1, y1)) * scale)
        self._silhouettes = silhouettes

    def paint(self, numbers: Iterable[int]) -> NDArray[np.uint8]:
        """How much of each fine pixel any of these shapes covers."""
        return self._silhouettes.paint(numbers, self._points, self._fine)

    def mean(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fine pixels as pixels of the answer."""
        return np.asarray(cv2.resize(plane, self._size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _label(where: NDArray[np.bool_], label: int) -> NDArray[np.uint8]:
    """``label`` there and 0 elsewhere; quicker than a copy under a mask."""
    labels: NDArray[np.uint8] = where.view(np.uint8) * np.uint8(label)
    return labels
