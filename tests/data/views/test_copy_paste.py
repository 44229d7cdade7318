"""Who is pasted, how large and where: drawn a hundred times."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_people import octagon, person, write_people

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.views.copy_paste import CopyPaste
from human_edge_detection.data.views.paste import PastedPerson
from human_edge_detection.data.views.warp import scaling, translation
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import CopyPasteConfig

WHOLE = scaling(1 / 160, 1 / 120)
GREY = (90, 90, 90)


@pytest.fixture
def people(tmp_path: Path) -> AnnotationSet:
    """Two images with a person each that can be pasted, 1 and 5, one with others, and one without anybody."""
    box = [[100, 20, 140, 20, 140, 100, 100, 100]]
    crowd = {"size": [120, 160], "counts": [1200, 9600, 8400]}
    annotations = [
        person(1, 1, octagon(20, 30, 60, 90)),
        person(2, 1, box),  # no outline
        person(3, 1, octagon(70, 30, 90, 110)),  # narrow
        person(4, 1, octagon(10, 10, 90, 100), iscrowd=1) | {"segmentation": crowd},
        person(5, 2, octagon(60, 20, 110, 100)),
        person(6, 3, box),
    ]
    return write_people(tmp_path, annotations, [GREY] * 4)


def draws(
    people: AnnotationSet, index: int, *, flip: float = 0.5, view: Any = WHOLE, times: int = 100, **changes: Any
) -> list[tuple[PastedPerson, ...]]:
    config = CopyPasteConfig(**{"probability": 1.0} | changes)
    copy_paste = CopyPaste(people, config, flip=flip)
    return [copy_paste.draw(index, view, np.random.default_rng((index, number))) for number in range(times)]


def box_of(pasted: PastedPerson) -> tuple[float, float, float, float]:
    points = np.concatenate([outline for part in pasted.shape for outline in part])
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def test_persons_with_an_outline_come_from_other_images(people: AnnotationSet) -> None:
    for index, expected in enumerate([{5}, {1}, {1, 5}, {1, 5}]):
        drawn = [pasted for persons in draws(people, index) for pasted in persons]
        assert {pasted.annotation_id for pasted in drawn} == expected
        assert {pasted.file_name for pasted in drawn} == {{1: "1.png", 5: "2.png"}[number] for number in expected}


def test_how_often_and_how_many(people: AnnotationSet) -> None:
    counts = [len(persons) for persons in draws(people, 0, probability=0.5, max_persons=3, times=400)]
    shares = np.bincount(counts, minlength=4) / 400
    assert shares[0] == pytest.approx(1 / 2, abs=0.08)
    np.testing.assert_allclose(shares[1:], 1 / 6, atol=0.08)
    assert not any(draws(people, 0, probability=0.0))


def test_a_pasted_person_is_beside_or_over_one_of_the_image_and_about_as_large(people: AnnotationSet) -> None:
    """The only person of the third image: 40 wide, 80 high."""
    sides, ratios = set(), []
    for pasted, *_ in draws(people, 2, scale=(0.5, 1.2)):
        x1, y1, x2, y2 = box_of(pasted)
        assert x1 < 140 and x2 > 100 and y1 < 100 and y2 > 20
        assert 0 <= (x1 + x2) / 2 <= 160 and 0 <= (y1 + y2) / 2 <= 120
        sides.add(x1 + x2 > 240)
        ratios.append(math.sqrt((x2 - x1) * (y2 - y1) / (40 * 80)))
    assert sides == {True, False}
    assert 0.5 <= min(ratios) < 0.6 and 1.1 < max(ratios) <= 1.2


def test_nobody_is_enlarged_to_a_blur(tmp_path: Path) -> None:
    annotations = [person(1, 1, octagon(0, 0, 160, 120)), person(2, 2, octagon(20, 20, 44, 50))]
    for pasted, *_ in draws(write_people(tmp_path, annotations, [GREY] * 2), 0):
        x1, _, x2, _ = box_of(pasted)
        assert x2 - x1 <= 2 * 24 + 1e-9


def test_where_nobody_is_a_person_has_its_own_size_and_is_in_the_view(people: AnnotationSet) -> None:
    """The view shows the right half of the image."""
    view = translation(-1, 0) @ scaling(2 / 160, 1 / 120)
    for pasted, *_ in draws(people, 3, view=view, scale=(1.0, 1.0)):
        x1, y1, x2, y2 = box_of(pasted)
        assert (round(x2 - x1), round(y2 - y1)) == {1: (40, 60), 5: (50, 80)}[pasted.annotation_id]
        assert (x1 + x2) / 2 >= 80


def test_persons_are_mirrored_as_often_as_images(people: AnnotationSet) -> None:
    for flip, expected in ((0.0, {False}), (0.5, {False, True}), (1.0, {True})):
        assert {pasted[0].matrix[0, 0] < 0 for pasted in draws(people, 2, flip=flip)} == expected


def test_the_outline_is_where_the_matrix_puts_it(people: AnnotationSet) -> None:
    outline = np.array(octagon(60, 20, 110, 100)[0]).reshape(-1, 2)
    for pasted, *_ in draws(people, 0, times=5):
        expected = (pasted.matrix @ np.c_[outline, np.ones(len(outline))].T)[:2].T
        np.testing.assert_allclose(pasted.shape[0][0], expected)


def test_what_leaves_the_donor_is_not_pasted(tmp_path: Path) -> None:
    annotations = [person(1, 1, octagon(0, 0, 50, 50)), person(2, 2, octagon(120, 30, 170, 90))]
    for pasted, *_ in draws(write_people(tmp_path, annotations, [GREY] * 2), 0, flip=0.0, times=5):
        x1, _, x2, _ = box_of(pasted)
        assert (x2 - x1) / pasted.matrix[0, 0] == pytest.approx(40)


def test_nobody_is_pasted_where_all_that_can_be_are_of_the_image_itself(people: AnnotationSet) -> None:
    rest = AnnotationSet(people.file, people.images_dir, people.images.select([1, 2]), people.sha256)
    assert not any(draws(rest, 0))
    assert all(draws(rest, 1))


def test_data_with_nobody_to_paste_are_refused(people: AnnotationSet) -> None:
    rest = AnnotationSet(people.file, people.images_dir, people.images.select([2, 3]), people.sha256)
    with pytest.raises(DataError, match=r"people\.json: data\.augmentation\.copy_paste has nobody to paste: of 1 pers"):
        CopyPaste(rest, CopyPasteConfig(), flip=0.5)
