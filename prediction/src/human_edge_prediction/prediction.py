"""What a model says of one image: who is where, and which pixels are whose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.drawing import draw_persons
from human_edge_prediction.errors import ImageFileError
from human_edge_prediction.images.read import Image, check_image
from human_edge_prediction.instances import Instances
from human_edge_prediction.masks.edges import dilated, smoothed
from human_edge_prediction.masks.probability import THRESHOLD
from human_edge_prediction.masks.rle import encode
from human_edge_prediction.resampling import resize

BoxesFrom = Literal["given", "own detector", "detector", "person map"]
"""Who found the persons: the caller, the model itself, another model, or the connected parts of the person map."""
_MOST_KEPT_PX: Final = 100_000_000
"""Pixels of boxes, a byte each, up to which their masks are kept: every kind of file is made from the same ones."""
BACKGROUND, PERSON, OTHERS = 0, 1, 2
"""Values of :meth:`Prediction.class_map`."""


class Person(NamedTuple):
    """One person of a prediction.

    Attributes:
        number: Of the person in the prediction's ``boxes``.
        box: ``(4,)`` float32 x1, y1, x2, y2 in pixels.
        score: In [0, 1].
        place: The (rows, columns) of the image that ``mask`` covers.
        mask: ``(rows, columns)`` bool; all False where the model sees nobody in the box.
    """

    number: int
    box: NDArray[np.float32]
    score: float
    place: tuple[slice, slice]
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class Prediction:
    """N persons on an image.

    Attributes:
        image_size: (height, width) in pixels.
        boxes: ``(N, 4)`` float32 x1, y1, x2, y2 in pixels.
        scores: ``(N,)`` float32 in [0, 1]: of the detector; where there was none (``given``, ``person map``), the mean
            probability inside the mask, 0 of an empty one.
        boxes_from: Who found the persons.
        instances: Their masks as the model gave them, at its own resolution.
        person_probabilities: ``(h, w)`` float32 probability of any person, over the whole image at the model's
            resolution; None: the model gives none.
        roi_probabilities: ``(N, 3, h, w)`` float32 probabilities of background, this person and other people in each
            box; None: the model gives none.
        dilate: Masks grow by so many pixels of the image in every direction.
        smooth_edges: Steps that a mask has because it was smaller than the image are rounded off.
    """

    image_size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes_from: BoxesFrom
    instances: Instances = field(repr=False)
    person_probabilities: NDArray[np.float32] | None = field(default=None, repr=False)
    roi_probabilities: NDArray[np.float32] | None = field(default=None, repr=False)
    dilate: int = 0
    smooth_edges: bool = False

    def __len__(self) -> int:
        """Number of persons."""
        return len(self.boxes)

    @property
    def person_map(self) -> NDArray[np.float32] | None:
        """``(H, W)`` float32 probability of any person, enlarged when it is asked for; None: the model gives none."""
        if self.person_probabilities is None:
            return None
        return np.asarray(resize(self.person_probabilities, self.image_size), np.float32)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """``(N, H, W)`` bool, made when they are asked for: N bytes for each pixel; :meth:`persons` takes far less."""
        masks = np.zeros((len(self), *self.image_size), bool)
        for person in self.persons():
            masks[person.number][person.place] = person.mask
        return masks

    def persons(self) -> Iterator[Person]:
        """Each person with the pixels of the box only, one after the other; kept for the next call if they are few."""
        height, width = self.image_size
        sides = np.clip(self.boxes, 0, [width, height, width, height])
        few = ((sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])).sum() <= _MOST_KEPT_PX
        return iter(self._kept) if few else self._made()

    @cached_property
    def _kept(self) -> tuple[Person, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[Person]:
        for number, box in enumerate(self.boxes):
            place, probability = self.probability(number)
            if self.smooth_edges:
                probability = smoothed(probability, self._cell(number))
            pixels = probability > THRESHOLD
            if self.dilate:
                place, pixels = dilated(place, pixels, self.image_size, self.dilate)
            yield Person(number, box, float(self.scores[number]), place, pixels)

    def probability(self, number: int) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """The probability of one person, enlarged to the image.

        Args:
            number: Of the person.

        Returns:
            The (rows, columns) of the image that it covers, and there ``(rows, columns)`` in [0, 1].
        """
        return self.instances.probability(number, self.image_size)

    def at_least(self, min_score: float) -> Prediction:
        """Without the persons that score less."""
        kept = self.scores >= min_score
        rois = self.roi_probabilities
        return replace(
            self,
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            instances=self.instances.of(kept),
            roi_probabilities=None if rois is None else rois[kept],
        )

    def _cell(self, number: int) -> tuple[float, float]:
        """(height, width) in pixels of the image of one value of a person's mask."""
        left, top, right, bottom = self.instances.frames[number].tolist()
        rows, columns = self.instances.masks[number].shape
        height, width = self.image_size
        return (bottom - top) * height / rows, (right - left) * width / columns

    def class_map(self) -> NDArray[np.uint8]:
        """``(H, W)``: 0 background, 1 one of the persons, 2 other people (the person map says so, and no mask does)."""
        people = self.person_map
        others = np.zeros(self.image_size, bool) if people is None else people > THRESHOLD
        classes = np.where(others, np.uint8(OTHERS), np.uint8(BACKGROUND))
        for person in self.persons():
            classes[person.place][person.mask] = PERSON
        return classes

    def to_coco(self, image_id: int, *, category_id: int = 1, bbox: bool = True) -> list[dict[str, Any]]:
        """The persons as COCO results, which ``json.dump`` writes and pycocotools' ``loadRes`` reads.

        Persons without a pixel are left out, as COCO's metrics count every result.

        Args:
            image_id: Of the image in the annotations.
            category_id: Of persons there.
            bbox: With the box of each person. For the AP of masks leave it out: where it is there, pycocotools takes
                the box's area for the mask's, so AP_small, AP_medium and AP_large are others than ``hed evaluate``'s.

        Returns:
            For each its ids, ``segmentation`` (RLE), ``bbox`` (x, y, width, height in pixels) and ``score``.
        """
        results: list[dict[str, Any]] = []
        for person in self.persons():
            if person.area:
                x1, y1, x2, y2 = (float(value) for value in person.box)
                place = (person.place[0].start, person.place[1].start)
                result: dict[str, Any] = {"image_id": image_id, "category_id": category_id, "score": person.score}
                result["segmentation"] = dict(encode(person.mask, place, self.image_size))
                results.append(result | ({"bbox": [x1, y1, x2 - x1, y2 - y1]} if bbox else {}))
        return results

    def draw(self, image: Image) -> Image:
        """A copy of ``image``, ``(H, W, 3)`` RGB, with each person's mask, outline, box and score in one colour.

        Raises:
            ImageFileError: The image is none, or of another size than the predicted one.
        """
        if check_image(image).shape[:2] != self.image_size:
            raise ImageFileError(f"draw: the image is {image.shape[:2]}, and the predicted one was {self.image_size}")
        return draw_persons(image, self.persons())
