"""Pixels of a pasted person, on images of one colour each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from plain_people import octagon, person, write_people
from plain_views import iou

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.views.augment import FILL_COLOR, ColorChange, View
from human_edge_detection.data.views.copy_paste import CopyPaste
from human_edge_detection.data.views.paste import PastedPerson
from human_edge_detection.data.views.view import PeopleInView, view_images
from human_edge_detection.data.views.warp import scaling, translation
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import CopyPasteConfig

SIZES = [(96, 128), (240, 320)]
BLACK, GREEN = (0, 0, 0), (0, 255, 0)
WHOLE = scaling(1 / 160, 1 / 120)


@pytest.fixture
def people(tmp_path: Path) -> AnnotationSet:
    """A black image, and a green one to paste of."""
    annotations = [person(1, 1, octagon(40, 20, 100, 110)), person(2, 2, octagon(50, 10, 120, 100))]
    return write_people(tmp_path, annotations, [BLACK, GREEN])


def pasted_into(people: AnnotationSet, matrix: Any, seed: int = 0) -> tuple[PastedPerson, ...]:
    return CopyPaste(people, CopyPasteConfig(probability=1.0), flip=0.5).draw(0, matrix, np.random.default_rng(seed))


def look(
    people: AnnotationSet, matrix: Any, pasted: tuple[PastedPerson, ...], color: ColorChange | None = None
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """The images at each size, and where somebody is pasted."""
    record = people.images[0]
    shown = PeopleInView(record, matrix, [person.shape for person in pasted])
    images = view_images(people, record, View(matrix, color, 0.0), SIZES, pasted)
    return images, [shown.pasted_mask(size) for size in SIZES]


@pytest.mark.parametrize("seed", range(4))
def test_pixels_are_the_donors_where_the_mask_says_so(people: AnnotationSet, seed: int) -> None:
    turn = np.array([[0.98, 0.2, -10.0], [-0.2, 0.98, 12.0], [0.0, 0.0, 1.0]])
    matrix = WHOLE @ turn
    for image, mask in zip(*look(people, matrix, pasted_into(people, matrix, seed)), strict=True):
        green = image[..., 1].astype(int) - image[..., 0]
        assert mask.any()
        assert iou(green > 127, mask == 1) > 0.98
        assert ((green > 0) & (green < 255)).mean() < 0.05  # the soft edge


def test_a_person_ends_where_the_image_ends(people: AnnotationSet) -> None:
    """The centre of the person is moved to the left edge of the image."""
    (first, *_) = pasted_into(people, WHOLE)
    far = first.shape[0][0][:, 0].mean()
    shape = [[outline - np.array([far, 0.0]) for outline in part] for part in first.shape]
    moved = replace(first, matrix=translation(-far, 0) @ first.matrix, shape=shape)
    matrix = scaling(1 / 320, 1 / 240) @ translation(80, 60)
    for image, mask in zip(*look(people, matrix, (moved,)), strict=True):
        edge = image.shape[1] // 4
        assert (image[:, : edge - 1] == FILL_COLOR).all() and not mask[:, : edge - 1].any()
        assert mask[:, edge].any()


def test_the_view_colours_the_whole_composite(people: AnnotationSet) -> None:
    (first, *_) = pasted_into(people, WHOLE)
    dark = ColorChange(brightness=0.5, contrast=1.0, saturation=1.0, hue=0.0)
    bright, dimmed = (look(people, WHOLE, (first,), color)[0][1].astype(int) for color in (None, dark))
    assert bright.max() == 255
    np.testing.assert_allclose(dimmed, bright / 2, atol=1)


def test_a_donor_that_is_gone_is_named(people: AnnotationSet) -> None:
    pasted = pasted_into(people, WHOLE)
    (people.images_dir / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png"):
        look(people, WHOLE, pasted)
