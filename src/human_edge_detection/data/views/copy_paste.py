"""Copy-paste augmentation: which persons of other images are pasted into an image, and where.

After "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation" (Ghiasi et al.,
arXiv:2012.07177), with one difference: there persons lie anywhere, here they are pasted beside or partly over a person
of the image, about as large as it. So each of the two is in the other's roi, as a non-target, which is the rare class.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImage, AnnotatedImages, PersonAnnotation
from human_edge_detection.data.annotations.polygons_and_rle import Box
from human_edge_detection.data.views.paste import PastedPerson
from human_edge_detection.data.views.rasterize import shape_of
from human_edge_detection.data.views.warp import Matrix, inverse, scaling, transform, translation
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import CopyPasteConfig

_MIN_DONOR_SIDE_PX: Final = 24.0
"""Shorter side of a person's box; smaller ones have too little detail, and are often a part of a person."""
_BOX_CORNERS: Final = 4
"""Corners of an outline that is no more than a box, whose pixels are not all the person's."""
_MAX_ENLARGEMENT: Final = 2.0
"""Of a person that is pasted, relative to what it takes of its own image; more would be blurred."""
_DISTANCE: Final = (0.2, 0.8)
"""Between the centres of a pasted person and the person beside it, in x; 1: their boxes touch."""
_RISE: Final = 0.25
"""Largest distance of their centres in y, likewise."""


class CopyPaste:
    """Persons of all images, ready to be pasted into others. Reads no image."""

    def __init__(self, people: AnnotationSet, config: CopyPasteConfig, *, flip: float) -> None:
        """Finds the persons that can be pasted.

        Args:
            people: The images of one split.
            config: How often and how large persons are pasted.
            flip: Probability of a mirrored person.

        Raises:
            DataError: There is none.
        """
        self._images = people.images
        self._flip = flip
        self._config = config
        self._owners, self._numbers = _donors(people.images)
        if not len(self._owners):
            persons = people.images.person_counts.sum()
            raise DataError(
                f"{people.file}: data.augmentation.copy_paste has nobody to paste: of {persons} persons none has an "
                f"outline and is at least {_MIN_DONOR_SIDE_PX:.0f} pixels wide and high; set "
                "data.augmentation.copy_paste=null"
            )

    def draw(self, index: int, view: Matrix, rng: np.random.Generator) -> tuple[PastedPerson, ...]:
        """Who is pasted into an image, and where; each lies on top of those before.

        Args:
            index: Of the image.
            view: ``(3, 3)``, from pixels of the image file to fractions of the view, in which they should be seen.
            rng: Source of randomness, used by nothing else.
        """
        is_pasted, count = rng.random() < self._config.probability, int(rng.integers(self._config.max_persons)) + 1
        own_start, own_end = np.searchsorted(self._owners, [index, index + 1]).tolist()
        others = len(self._owners) - (own_end - own_start)
        if not is_pasted or not others:
            return ()
        image = self._images[index]
        neighbours = _visible(image, view)
        pasted = []
        for _ in range(count):
            number = int(rng.integers(others))
            # The image's own persons are left out.
            number += own_end - own_start if number >= own_start else 0
            donor = self._images[int(self._owners[number])]
            person = donor.persons[int(self._numbers[number])]
            beside = neighbours[int(rng.integers(len(neighbours)))] if neighbours else None
            pasted.append(self._place(donor, person, image, beside, view, rng))
        return tuple(pasted)

    def _place(
        self,
        donor: AnnotatedImage,
        person: PersonAnnotation,
        image: AnnotatedImage,
        beside: Box | None,
        view: Matrix,
        rng: np.random.Generator,
    ) -> PastedPerson:
        """Draws size, mirroring and place: beside the person in this box, or anywhere in the view."""
        x1, y1, x2, y2 = person.box
        # 1. The scale: relative to the person beside it, or to what the person takes of its own image.
        same_share = math.sqrt(image.width * image.height / (donor.width * donor.height))
        as_large = same_share if beside is None else math.sqrt(_area(beside) / _area(person.box))
        scale = min(rng.uniform(*self._config.scale) * as_large, _MAX_ENLARGEMENT * same_share)
        flip = -1.0 if rng.random() < self._flip else 1.0
        # 2. The centre.
        if beside is None:
            x, y = _shown(view, image, rng.random(2))
        else:
            x, y = _centre_beside(beside, (scale * (x2 - x1), scale * (y2 - y1)), image, view, rng)
        # 3. The outline there. It may leave the donor a little, where there are no pixels of the person.
        matrix = translation(x, y) @ scaling(flip * scale, scale) @ translation(-(x1 + x2) / 2, -(y1 + y2) / 2)
        limits = (donor.width, donor.height)
        shape = [
            [transform(np.clip(outline, 0, limits), matrix) for outline in part]
            for part in shape_of(person, donor.height, donor.width)
        ]
        return PastedPerson(person.id, donor.file_name, (donor.height, donor.width), matrix, shape)


def _donors(images: AnnotatedImages) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position of the image, ascending, and number there of each person that can be pasted."""
    columns, counts = images.columns, images.person_counts
    # 1. All persons; crowd regions come after the persons of an image.
    owners = np.repeat(np.arange(len(images)), counts)
    numbers = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    annotations = columns.first_persons[images.positions[owners]] + numbers
    # 2. Those that are large enough and have an outline; run lengths that were not traced yet count as one.
    sides = columns.boxes[annotations, 2:] - columns.boxes[annotations, :2]
    corners = np.diff(columns.polygon_offsets[columns.polygons[annotations]])[:, 0]
    is_outline = (corners > _BOX_CORNERS) | (corners == 0)
    chosen = is_outline & (sides.min(axis=1) >= _MIN_DONOR_SIDE_PX)
    return owners[chosen], numbers[chosen]


def _visible(image: AnnotatedImage, view: Matrix) -> list[Box]:
    """The boxes of the persons whose centre is in the view."""
    return [person.box for person in image.persons if _is_shown(view, _centre(person.box))]


def _centre_beside(
    box: Box, size: tuple[float, float], image: AnnotatedImage, view: Matrix, rng: np.random.Generator
) -> tuple[float, float]:
    """Draws the centre of a pasted person of ``size`` (width, height) beside or partly over the one in ``box``."""
    x, y = _centre(box)
    side = 1.0 if rng.random() < 0.5 else -1.0
    away = side * rng.uniform(*_DISTANCE) * (box[2] - box[0] + size[0]) / 2
    up = rng.uniform(-_RISE, _RISE) * (box[3] - box[1] + size[1]) / 2
    # On the other side where this one is out of sight, and at least with its centre in the image.
    if not (0 <= x + away <= image.width and _is_shown(view, (x + away, y + up))):
        away = -away
    return min(max(x + away, 0.0), float(image.width)), min(max(y + up, 0.0), float(image.height))


def _shown(view: Matrix, image: AnnotatedImage, place: NDArray[np.float64]) -> tuple[float, float]:
    """The point of the image at ``place``, in fractions of the view, or near it where the view is beyond the image."""
    x, y = np.clip(transform(place[None], inverse(view))[0], 0, (image.width, image.height)).tolist()
    return x, y


def _is_shown(view: Matrix, point: tuple[float, float]) -> bool:
    mapped = transform(np.array([point]), view)[0]
    return bool((mapped >= 0).all() and (mapped <= 1).all())


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
