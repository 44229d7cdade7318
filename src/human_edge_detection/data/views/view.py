"""A training sample's image, boxes and masks under an affine view, computed at the wanted sizes directly.

The exact path in ``dataset.py``, which validation takes, averages masks as large as the image file. Here polygons are
mapped and rasterised on a grid of twice the wanted resolution and area-averaged (2 x 2 supersampling). Both paths give
a pixel its label by the same rules. Persons can be pasted into the image, each on top of all that is there: what one
covers of another person is not that person's any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.annotations.polygons_and_rle import box_polygon
from human_edge_detection.data.images.read import read_shrunk
from human_edge_detection.data.views.augment import FILL_COLOR, View
from human_edge_detection.data.views.paste import PastedPerson, paste
from human_edge_detection.data.views.rasterize import FULL, Grid, Outline, Shape, ShapeSet, shape_of
from human_edge_detection.data.views.warp import MIN_SOURCE_PX, Matrix, inverse, scaling, strides, warp
from human_edge_detection.structures import IGNORE, NON_TARGET, TARGET

_FILL_BGR: Final = FILL_COLOR[::-1]
_MIN_VISIBLE_PX: Final = 0.5
"""Pixels of the image file; a person of whom less is visible in width or height counts as not visible."""
MIN_VISIBLE_SHARE: Final = 0.2
"""Of what is visible of a person; one of whom pasted persons leave less counts as not visible."""
_BOX_CELLS: Final = 64
"""Along each side of a person's box, when what is left of it is looked for below persons that are pasted over it."""
_TOLERANCE: Final = 1e-6
"""Rounding error, in pixels of the image file, of a point on the border of the image."""
_UNIT_SQUARE: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
"""Corners of the view in fractions, clockwise on a screen."""
_WHOLE_VIEW: Final = (0.0, 0.0, 1.0, 1.0)
"""The box ``x1, y1, x2, y2`` of the view in fractions."""


def view_images(
    people: AnnotationSet,
    record: AnnotatedImage,
    view: View,
    sizes: Sequence[tuple[int, int]],
    pasted: Sequence[PastedPerson] = (),
) -> list[NDArray[np.uint8]]:
    """The same view of an image at each of ``sizes``.

    Args:
        people: The annotations, which know the folder of image files.
        record: The image.
        view: What is shown, and how colours change.
        sizes: (height, width) of each output.
        pasted: Persons pasted into the image, each on top of those before.

    Returns:
        For each size ``(height, width, 3)`` uint8 RGB.

    Raises:
        DataError: The image file is missing, damaged, or of another size than its annotation says.
    """
    full_size = (record.height, record.width)
    # 1. From pixels of the image file to pixels of each output.
    matrices = [scaling(width, height) @ view.matrix for height, width in sizes]
    # 2. Decode at a reduced size when the largest output still has enough pixels to average.
    most = min(min(strides(matrix)) for matrix in matrices) / MIN_SOURCE_PX
    image, factor = read_shrunk(people.images_dir / record.file_name, full_size, most)
    # 3. Warp, and paste at the size of each output.
    outputs = [
        warp(image, matrix @ scaling(factor, factor), size, _FILL_BGR)
        for matrix, size in zip(matrices, sizes, strict=True)
    ]
    for person in pasted:
        paste(person, people.images_dir, outputs, matrices, _frame(record))
    # 4. Change the colours of the outputs, which have fewer pixels than the image file.
    return [_to_rgb_augmented(output, view, full_size) for output in outputs]


def _to_rgb_augmented(image: NDArray[np.uint8], view: View, full_size: tuple[int, int]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` BGR to RGB with the colours and the blur of ``view``, whose unit is pixels at ``full_size``."""
    image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    if view.color is not None:
        image = view.color.apply(image)
    if view.blur:
        y, x = (view.blur * now / full for now, full in zip(image.shape[:2], full_size, strict=True))
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=x, sigmaY=y), np.uint8)
    return image


class PeopleInView:
    """The persons and ignored regions of an image in a view. Boxes are ``x1, y1, x2, y2`` in fractions of the view."""

    def __init__(self, record: AnnotatedImage, matrix: Matrix, pasted: Sequence[Shape] = ()) -> None:
        """Maps the outlines of all annotations to the view.

        Args:
            record: The image with its annotations.
            matrix: ``(3, 3)``, from pixels of the image file to fractions of the view.
            pasted: Outlines, in pixels of the image file, of further persons, numbered after those of the image. Each
                is on top of all persons before it.
        """
        persons, crowds = (
            [shape_of(annotation, record.height, record.width) for annotation in annotations]
            for annotations in (record.persons, record.crowds)
        )
        # Shapes are numbered: persons, crowd regions, all that is known, and last the frame of the image.
        shapes = [*persons, *pasted, *crowds]
        frame = _frame(record)
        self._extent = frame[2].tolist()
        self._shapes = ShapeSet([*shapes, _known(record), [[frame]]])
        self._first_pasted = len(persons)
        self._persons = len(persons) + len(pasted)
        self._crowds = range(self._persons, len(shapes))
        self._known = None if record.exhaustive else len(shapes)
        self._frame = len(shapes) + 1
        points = self._shapes.points
        self._is_inside_image = bool(
            (points.min(axis=0) >= -_TOLERANCE).all() and (points <= frame[2] + _TOLERANCE).all()
        )
        self._points = self._shapes.map(matrix)
        self._to_image = inverse(matrix)[:2].tolist()

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """``(P, 4)`` bounding boxes of the visible part of each person; zeros for a person who is not visible.

        Pasted persons hide what is below them. Not visible is also of whom they leave less than
        :data:`MIN_VISIBLE_SHARE`; pixels that are left are still a person's, in the masks of others.
        """
        if self._first_pasted == self._persons:
            return self._unhidden_boxes
        boxes = self._unhidden_boxes.copy()
        overlaps = self._overlaps(boxes)
        for number in range(self._persons):
            hiding = self._on_top_of(number, np.flatnonzero(overlaps[number]))
            if len(hiding):
                boxes[number] = self._visible_box(number, hiding)
        return boxes

    @cached_property
    def _unhidden_boxes(self) -> NDArray[np.float64]:
        """:attr:`boxes` as if each person were on top of all others."""
        window = self._window()
        if window is None or not self._persons:
            return np.zeros((self._persons, 4))
        boxes = self._shapes.boxes(self._persons, self._points, window)
        is_visible = ((boxes[:, 2:] - boxes[:, :2]) * self._extent >= _MIN_VISIBLE_PX).all(axis=1, keepdims=True)
        return np.where(is_visible, boxes, 0.0)

    def roi_masks(
        self, boxes: NDArray[np.float64], targets: NDArray[np.intp], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Class masks of boxes: :func:`~human_edge_detection.data.dataset.roi_masks` within a tolerance in its tests.

        Args:
            boxes: ``(n, 4)``, each with an area above 0.
            targets: ``(n,)`` number of the target person of each box.
            size: (height, width) of a mask.

        Returns:
            ``(n, height, width)`` uint8: background, target, non-target or ignore.
        """
        masks = np.empty((len(boxes), *size), np.uint8)
        # 1. Only persons whose boxes overlap a box can have pixels in it.
        overlaps = self._overlaps(boxes)
        overlaps[range(len(boxes)), targets] = False
        for mask, box, target, others in zip(masks, boxes.tolist(), targets.tolist(), overlaps, strict=True):
            # 2. Coverage of the fine pixels by the target, by any person, and by the image.
            grid = Grid(self._shapes, self._points, box, size)
            image = self._image_coverage(grid, box)
            person_fine = target_fine = self._person_coverage(grid, [target], image)
            if others.any():
                numbers = np.flatnonzero(others)
                person_fine = np.maximum(target_fine, self._person_coverage(grid, numbers, image))
                target_fine = self._not_hidden(grid, target_fine, self._on_top_of(target, numbers))
            # 3. Area-average to mask pixels.
            person_mean, target_mean = grid.mean(person_fine), grid.mean(target_fine)
            # 4. A pixel that persons cover by more than half is the target's if it covers at least half of that part.
            is_person = person_mean > FULL // 2
            is_target = target_mean >= person_mean - target_mean
            np.add(_label(is_person & is_target, TARGET), _label(is_person & ~is_target, NON_TARGET), out=mask)
            # 5. Of the other pixels, those of which mostly nobody knows what they are are ignored.
            is_ignored = self._is_ignored(grid, person_fine, image)
            if is_ignored is not None:
                mask += _label(is_ignored & ~is_person, IGNORE)
        return masks

    def person_mask(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """``(height, width)`` uint8, 1 for any person, else 0 or ignore.

        :func:`~human_edge_detection.data.dataset.person_mask` within a tolerance in its tests.
        """
        grid = Grid(self._shapes, self._points, _WHOLE_VIEW, size)
        image = self._image_coverage(grid, _WHOLE_VIEW)
        person_fine = self._person_coverage(grid, np.flatnonzero(self._unhidden_boxes[:, 2]), image)
        is_person = grid.mean(person_fine) > FULL // 2
        mask = _label(is_person, 1)
        is_ignored = self._is_ignored(grid, person_fine, image)
        return mask if is_ignored is None else mask + _label(is_ignored & ~is_person, IGNORE)

    def pasted_mask(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """``(height, width)`` uint8, 1 where a pasted person covers the view, else 0."""
        grid = Grid(self._shapes, self._points, _WHOLE_VIEW, size)
        pasted = range(self._first_pasted, self._persons)
        coverage = self._person_coverage(grid, pasted, self._image_coverage(grid, _WHOLE_VIEW))
        return _label(grid.mean(coverage) > FULL // 2, 1)

    def _visible_box(self, number: int, hiding: NDArray[np.intp]) -> NDArray[np.float64]:
        """The bounding box of what persons on top leave of a visible person; zeros for too little."""
        x1, y1, x2, y2 = whole = self._unhidden_boxes[number]
        grid = Grid(self._shapes, self._points, whole.tolist(), (_BOX_CELLS, _BOX_CELLS))
        before = self._person_coverage(grid, [number], self._image_coverage(grid, whole.tolist()))
        after = self._not_hidden(grid, before, hiding)
        if after.sum(dtype=np.int64) < MIN_VISIBLE_SHARE * before.sum(dtype=np.int64):
            return np.zeros(4)
        # Sides move by as much as their first and last pixels do, so one that nobody hides stays exactly where it is.
        (left, right), (top, bottom) = (
            np.subtract(_ends(after, axis), _ends(before, axis)) / before.shape[1 - axis] for axis in (0, 1)
        )
        width, height = x2 - x1, y2 - y1
        box = whole + np.array([left * width, top * height, right * width, bottom * height])
        is_visible = ((box[2:] - box[:2]) * self._extent >= _MIN_VISIBLE_PX).all()
        return box if is_visible else np.zeros(4)

    def _on_top_of(self, number: int, others: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of ``others`` that hide a person where they overlap: the persons pasted after it."""
        return others[others >= max(self._first_pasted, number + 1)]

    def _not_hidden(self, grid: Grid, coverage: NDArray[np.uint8], hiding: NDArray[np.intp]) -> NDArray[np.uint8]:
        """What persons on top leave of a person's coverage of each fine pixel."""
        if not len(hiding):
            return coverage
        return np.minimum(coverage, FULL - grid.paint(hiding))

    def _overlaps(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """``(n, P)``: whether the box of each of the P persons overlaps each of ``boxes``."""
        starts = np.maximum(self._unhidden_boxes[:, :2], boxes[:, None, :2])
        ends = np.minimum(self._unhidden_boxes[:, 2:], boxes[:, None, 2:])
        return np.asarray((starts < ends).all(axis=2))

    def _image_coverage(self, grid: Grid, box: Sequence[float]) -> NDArray[np.uint8] | None:
        """How much of each fine pixel the image covers, 0 to :data:`FULL`; None when the box lies inside the image."""
        x1, y1, x2, y2 = box
        width, height = self._extent
        (a, b, c), (d, e, f) = self._to_image
        # The image is convex, so a box is inside it when its four corners are.
        for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2)):
            image_x, image_y = a * x + b * y + c, d * x + e * y + f
            if not (-_TOLERANCE <= image_x <= width + _TOLERANCE and -_TOLERANCE <= image_y <= height + _TOLERANCE):
                return grid.paint([self._frame])
        return None

    def _person_coverage(
        self, grid: Grid, numbers: Iterable[int], image: NDArray[np.uint8] | None
    ) -> NDArray[np.uint8]:
        """How much of each fine pixel these persons cover, 0 to :data:`FULL`; nothing outside of the image."""
        coverage = grid.paint(numbers)
        if image is not None and not self._is_inside_image:
            np.minimum(coverage, image, out=coverage)
        return coverage

    def _is_ignored(
        self, grid: Grid, person_fine: NDArray[np.uint8], image: NDArray[np.uint8] | None
    ) -> NDArray[np.bool_] | None:
        """Which mask pixels lie mostly where nobody knows what is there and not on a person; None: none.

        That is in a crowd region, outside of the image, and outside of the boxes of an image that is not exhaustively
        labelled.
        """
        if not self._crowds and self._known is None:
            return None if image is None else grid.mean(image) <= FULL // 2
        ignored = grid.paint(self._crowds)
        if self._known is not None:
            np.maximum(ignored, FULL - grid.paint([self._known]), out=ignored)
        if image is not None:
            np.maximum(ignored, FULL - image, out=ignored)
        return grid.mean(np.minimum(ignored, FULL - person_fine, out=ignored)) > FULL // 2

    def _window(self) -> Outline | None:
        """The convex part of the view that persons can be visible in, clockwise on a screen; None: no part.

        When outlines reach beyond the image, it is the intersection of the view and the image.
        """
        if self._is_inside_image:
            return _UNIT_SQUARE
        area, window = cv2.intersectConvexConvex(
            self._points[-4:].astype(np.float32),  # the frame of the image comes last
            _UNIT_SQUARE.astype(np.float32),
        )
        if area <= 0 or window is None:
            return None
        corners = np.asarray(window[:, 0], np.float64)
        # A mirrored view turns the order of the corners round.
        return corners if cv2.contourArea(np.asarray(window), oriented=True) > 0 else corners[::-1]


def _frame(record: AnnotatedImage) -> Outline:
    """``(4, 2)`` corners of the image in its pixels, clockwise on a screen."""
    return _UNIT_SQUARE * (record.width, record.height)


def _ends(plane: NDArray[np.uint8], axis: int) -> tuple[int, int]:
    """The first column (``axis`` 0) or row (1) of a plane that has a pixel of at least half coverage, and the last."""
    positions = np.flatnonzero((plane > FULL // 2).any(axis=axis))
    return (int(positions[0]), int(positions[-1])) if len(positions) else (0, 0)


def _known(record: AnnotatedImage) -> Shape:
    """The boxes beyond which there may be persons that are not annotated, in pixels; empty where all is known."""
    return [[np.array(box_polygon(box), np.float64).reshape(-1, 2)] for box in record.known_boxes or ()]


def _label(where: NDArray[np.bool_], label: int) -> NDArray[np.uint8]:
    """``label`` where ``where`` is true and 0 elsewhere; quicker than ``np.where`` or a masked copy."""
    labels: NDArray[np.uint8] = where.view(np.uint8) * np.uint8(label)
    return labels
