"""Which annotated person an instance is."""

from pathlib import Path

import numpy as np
import pytest
from external_answers import training_people, true_mask
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.teaching.external.answers import Instance, ProbabilityMap
from human_edge_detection.engine.teaching.external.matching import match_instances
from human_edge_prediction.resampling import resize


@pytest.fixture(scope="module")
def people(tiny_coco: Path) -> AnnotationSet:
    return training_people(tiny_coco)


def instance(mask: NDArray[np.integer], score: float = 0.9, annotation_id: int | None = None) -> Instance:
    size = (mask.shape[0], mask.shape[1])
    return Instance(ProbabilityMap(mask.astype(np.float32), 0, 0, size, is_binary=True), score, annotation_id)


def test_the_surest_instance_takes_the_person(people: AnnotationSet) -> None:
    record = people.images[0]
    first, second = record.persons
    mask = true_mask(record, first.id)
    shifted = np.roll(mask, 2, axis=1)
    matches = match_instances(
        [instance(mask, 0.5), instance(shifted, 0.8), instance(true_mask(record, second.id))], record
    )
    assert {number: match.instance for number, match in matches.of.items()} == {first.id: 1, second.id: 2}
    assert matches.of[second.id].iou == 1.0
    assert 0.6 < matches.of[first.id].iou < 1.0
    assert matches.strangers == (0,)


def test_half_a_person_is_nobody(people: AnnotationSet) -> None:
    record = people.images[0]
    mask = true_mask(record, record.persons[0].id)
    mask[np.cumsum(mask.sum(axis=1)) > 0.45 * mask.sum()] = 0
    assert match_instances([instance(mask)], record) == ({}, (0,))
    assert match_instances([instance(np.zeros((96, 128), np.uint8))], record) == ({}, (0,))


def test_a_map_may_be_coarser_than_the_image(people: AnnotationSet) -> None:
    record = people.images[0]
    first = record.persons[0]
    coarse = resize(true_mask(record, first.id).astype(np.float32), (48, 64))
    found = Instance(ProbabilityMap(coarse, 0, 0, (48, 64), False), 1.0, None)
    assert match_instances([found], record).of[first.id].iou > 0.9


def test_one_asked_for_can_be_nobody_else(people: AnnotationSet) -> None:
    record = people.images[0]
    first, second = record.persons
    wrong = instance(true_mask(record, first.id), annotation_id=second.id)
    assert match_instances([wrong], record).of == {}
    right = instance(true_mask(record, first.id), annotation_id=first.id)
    assert match_instances([right], record).of[first.id].iou == 1.0


def test_a_member_of_a_crowd_is_no_stranger(people: AnnotationSet) -> None:
    record = people.images[1]
    mask = np.zeros((96, 128), np.uint8)
    mask[:90, 102:118] = 1
    assert match_instances([instance(mask)], record) == ({}, ())
