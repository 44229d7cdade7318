import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.engine.evaluation.person_maps import PersonMaps, person_map, training_views
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.person_maps import Predictions, TrainingViews
from human_edge_detection.runs.records import read_section
from human_edge_detection.structures import SegmentationOutput


def decoded(picture: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


@pytest.fixture(scope="module")
def dataset(tiny_coco: Path) -> PersonDataset:
    people = read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")
    return PersonDataset(people, image_size=(64, 64), mask_size=(32, 24), augmentation=None, max_rois=None, seed=0)


def test_a_smaller_person_is_on_top_and_a_person_over_what_is_ignored() -> None:
    classes = np.zeros((2, 10, 10), np.uint8)
    classes[0] = 1
    classes[1, :, 5:] = 1
    classes[1, :, :5] = 255
    boxes = np.array([[0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6]], np.float32)
    drawn = person_map(classes, boxes, (50, 50))
    assert drawn[5, 5] == 1
    assert drawn[20, 25] == 2
    assert 255 not in drawn
    assert 255 in person_map(classes[1:], boxes[1:], (50, 50))


def test_a_perfect_model_has_the_map_of_the_truth(dataset: PersonDataset) -> None:
    maps = PersonMaps(dataset.people)
    batch = collate([dataset[(0, index)] for index in range(len(dataset))])
    logits = torch.nn.functional.one_hot(batch.roi_masks.long().clamp(max=2), 3).movedim(3, 1).float()
    maps.update(SegmentationOutput(logits, {}), batch)
    found = maps.compute()
    assert [image.id for image in found] == list(batch.image_ids)
    for image in found:
        truth = decoded(image.truth)
        assert max(truth.shape) == 256
        assert truth.shape[1] > truth.shape[0]  # as the image file, not as the model's input
        known = truth != 255
        assert (decoded(image.prediction)[known] == truth[known]).all()
    assert any((decoded(image.truth) == 1).any() for image in found)


def test_views_are_as_training_gets_them_and_the_same_each_time(dataset: PersonDataset) -> None:
    augmented = PersonDataset(
        dataset.people,
        image_size=(64, 48),
        mask_size=(32, 24),
        augmentation=AugmentationConfig(),
        max_rois=1,
        seed=3,
    )
    views = training_views(augmented)
    assert views == training_views(augmented)
    assert len(views.views) == len(dataset)
    assert {decoded(view.image).shape for view in views.views} == {(64, 48, 3)}
    persons = np.unique(np.stack([decoded(view.persons) for view in views.views]))
    assert {0, 1} <= {*persons.tolist()} <= {0, 1, 254, 255}
    assert 254 in persons  # only one person of each image has a box


def test_a_run_keeps_both(trained_teacher: RunPaths) -> None:
    views = read_section(TrainingViews, trained_teacher.training_views)
    predictions = read_section(Predictions, trained_teacher.predictions)
    assert views is not None
    assert len(views.views) == 8
    assert predictions is not None
    assert len(predictions.images) == 4
