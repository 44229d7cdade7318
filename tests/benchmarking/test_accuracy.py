"""Person maps of any models are scored on the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_detection.benchmarking.accuracy import person_ious
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import person_mask, read_scene
from human_edge_detection.files.data_folder import find_split
from human_edge_prediction.models.model import Model


class Maps(Model):
    """Gives person maps that are known beforehand, one after the other."""

    kind = "person_map"

    def __init__(self, maps: list[NDArray[np.float32]]) -> None:
        self.maps = iter(maps)

    def person_map(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return next(self.maps)


class Boxes(Model):
    kind = "boxes"

    def __init__(self) -> None: ...


def truths(people: AnnotationSet) -> list[NDArray[np.uint8]]:
    return [person_mask(read_scene(people, one), (one.height, one.width)) for one in people.images]


def test_person_maps_are_scored_on_all_pixels_that_count(tiny_coco: Path) -> None:
    people = read_annotations(*find_split(tiny_coco, "train"))  # with a crowd region
    masks = truths(people)
    assert any((mask == 255).any() for mask in masks)
    right = [(mask == 1).astype(np.float32) for mask in masks]
    in_crowd = [np.where(mask == 255, np.float32(1), good) for mask, good in zip(masks, right, strict=True)]
    half = [good * (np.arange(good.shape[1]) % 2) for good in right]
    everywhere = [np.ones_like(good) for good in right]
    models = [Maps(right), Maps(in_crowd), Maps(half), Maps(everywhere), Boxes()]
    found = person_ious(models, people, after_image=lambda: None)
    person, counted = sum((mask == 1).sum() for mask in masks), sum((mask != 255).sum() for mask in masks)
    assert found[:2] == [1.0, 1.0]
    assert found[2] == pytest.approx(sum(one.sum() for one in half) / person)
    assert found[3] == pytest.approx(person / counted)
    assert found[4] is None
