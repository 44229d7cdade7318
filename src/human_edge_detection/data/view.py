"""A training sample's picture, boxes and masks, made at the sizes that are wanted and nowhere larger.

The exact path in ``dataset.py``, which validation takes, averages masks as large as the photograph. Here outlines are
mapped and filled on a grid twice as fine as the answer. Labels follow the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.augment import FILL_COLOR, View
from human_edge_detection.data.packed import Photograph
from human_edge_detection.data.people import PeopleAnnotations
from human_edge_detection.data.photographs import read_shrunk
from human_edge_detection.data.silhouettes import FULL, Outline, Silhouettes, shape_of
from human_edge_detection.data.warp import ENOUGH, Matrix, inverse, scaling, strides, transform, translation, warp
from human_edge_detection.structures import BACKGROUND, IGNORE, NON_TARGET, TARGET

_FINER: Final = 2
_LEAST: Final = 0.5
"""Pixels of the photograph; of whom less is seen in width or height is not seen."""
_ROUNDING: Final = 1e-6
_UNIT: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
_WHOLE: Final = np.array([0.0, 0.0, 1.0, 1.0])


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
        _finish(warp(image, matrix @ scaling(factor, factor), size, FILL_COLOR), view, full_size)
        for matrix, size in zip(matrices, sizes, strict=True)
    ]


def _finish(image: NDArray[np.uint8], view: View, full_size: tuple[int, int]) -> NDArray[np.uint8]:
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
        shapes = [shape_of(annotation.segmentation, height, width) for annotation in annotations]
        frame = _UNIT * (width, height)
        self._matrix = matrix
        self._extent = frame[2]
        self._silhouettes = Silhouettes([*shapes, [[frame]]])
        self._persons = range(len(photograph.persons))
        self._crowds = range(len(photograph.persons), len(shapes))
        self._frame = len(shapes)
        self._on_photograph = self._lie_on(self._silhouettes.points)
        self._back = inverse(matrix)

    def _lie_on(self, points: Outline) -> bool:
        """Whether all of these, in pixels of the photograph, lie on it."""
        return bool((points >= -_ROUNDING).all() and (points <= self._extent + _ROUNDING).all())

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """``(P, 4)`` tight boxes of what is seen of each person; zeros for one of whom nothing is."""
        boxes = np.zeros((len(self._persons), 4))
        points = self._silhouettes.map(self._matrix)
        window = self._window(points)
        for number, box in enumerate(boxes):
            seen = None if window is None else self._silhouettes.box(number, points, window)
            if seen is not None and ((seen[2:] - seen[:2]) * self._extent >= _LEAST).all():
                box[:] = seen
        return boxes

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
        for mask, box, number in zip(masks, boxes, targets.tolist(), strict=True):
            anyone, ignored, target = self._paint(box, size, number)
            person, own = _mean(anyone, size), _mean(target, size)
            covered = person > FULL // 2
            mask[:] = BACKGROUND if ignored is None else _labels(ignored, size)
            np.copyto(mask, np.uint8(NON_TARGET), where=covered)
            np.copyto(mask, np.uint8(TARGET), where=covered & (own >= person - own))
        return masks

    def person_mask(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """As :func:`~human_edge_detection.data.dataset.person_mask`, within a tolerance that tests state."""
        anyone, ignored, _ = self._paint(_WHOLE, size, None)
        mask = np.zeros(size, np.uint8) if ignored is None else _labels(ignored, size)
        np.copyto(mask, np.uint8(1), where=_mean(anyone, size) > FULL // 2)
        return mask

    def _paint(
        self, box: NDArray[np.float64], size: tuple[int, int], target: int | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8]]:
        """How much of each fine pixel in ``box`` anyone covers, is to be ignored (None: nothing), ``target`` covers."""
        fine = (size[0] * _FINER, size[1] * _FINER)
        extent = box[2:] - box[:2]
        matrix = scaling(fine[1] / extent[0], fine[0] / extent[1]) @ translation(-box[0], -box[1]) @ self._matrix
        points = self._silhouettes.map(matrix)
        meets = (np.maximum(self.boxes[:, :2], box[:2]) < np.minimum(self.boxes[:, 2:], box[2:])).all(axis=1)
        anyone = wanted = self._silhouettes.paint(np.flatnonzero(meets).tolist(), points, fine)
        if target is not None:
            wanted = self._silhouettes.paint([target], points, fine)
            np.maximum(anyone, wanted, out=anyone)
        ignored = self._silhouettes.paint(self._crowds, points, fine) if self._crowds else None
        if not self._lie_on(transform(_UNIT * extent + box[:2], self._back)):
            inside = self._silhouettes.paint([self._frame], points, fine)
            np.minimum(anyone, inside, out=anyone)  # nobody is outside of the photograph, and nothing counts there
            np.minimum(wanted, inside, out=wanted)
            outside = np.subtract(FULL, inside, out=inside)
            ignored = outside if ignored is None else np.maximum(ignored, outside, out=ignored)
        if ignored is not None and self._crowds:
            np.minimum(ignored, FULL - anyone, out=ignored)
        return anyone, ignored, wanted

    def _window(self, points: Outline) -> Outline | None:
        """What of the view people can be seen in: where the photograph is; None: nowhere."""
        if self._on_photograph:
            return _UNIT
        area, window = cv2.intersectConvexConvex(
            points[-4:].astype(np.float32),  # the frame comes last
            _UNIT.astype(np.float32),
        )
        if area <= 0 or window is None:
            return None
        corners = np.asarray(window[:, 0], np.float64)
        return corners if cv2.contourArea(np.asarray(window), oriented=True) > 0 else corners[::-1]


def _labels(ignored: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """``IGNORE`` where one half or more is to be ignored, else 0."""
    return np.asarray(cv2.threshold(_mean(ignored, size), FULL // 2, IGNORE, cv2.THRESH_BINARY)[1], np.uint8)


def _mean(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
