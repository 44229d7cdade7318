from pathlib import Path

import numpy as np
import pytest
import torch

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.errors import ExportError
from human_edge_detection.exporters.parity import (
    agreement,
    max_difference,
    parity_inputs,
    require_passed,
    summarise,
    take_rois,
)
from human_edge_detection.runs.records import ParityCase


def rois_of(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.fixture
def dataset(tiny_coco: Path) -> PersonDataset:
    people = read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")
    return PersonDataset(people, image_size=(64, 64), mask_size=(32, 24), augmentation=None, max_rois=None, seed=0)


def test_inputs_cover_one_and_two_images_with_one_and_five_rois_of_them(dataset: PersonDataset) -> None:
    cases = parity_inputs(dataset, with_rois=True)
    assert [(len(case["images"]), len(case["rois"])) for case in cases] == [(1, 1), (1, 5), (2, 1), (2, 5)]
    for case in cases:
        rois = case["rois"]
        assert int(rois[0, 0]) == len(case["images"]) - 1, "a single roi must try the last image"
        assert set(rois[:, 0].tolist()) <= set(range(len(case["images"])))
        assert bool((rois[:, 3:] > rois[:, 1:3]).all()), "boxes must not be empty"
    assert set(cases[-1]["rois"][:, 0].tolist()) == {0.0, 1.0}
    assert bool(cases[0]["images"].std() > 0.05), "images, not blanks"


def test_inputs_of_a_model_without_roi_head_have_no_rois(dataset: PersonDataset) -> None:
    cases = parity_inputs(dataset, with_rois=False)
    assert [list(case) for case in cases] == [["images"], ["images"]]


def test_rois_are_taken_from_the_images_in_turn_and_come_again_larger() -> None:
    rois = rois_of((0, 0.1, 0.1, 0.4, 0.5), (0, 0.2, 0.2, 0.5, 0.6), (1, 0.3, 0.3, 0.9, 0.9))
    taken = take_rois(rois, 5)
    assert taken[:, 0].tolist() == [1, 0, 0, 1, 0]
    torch.testing.assert_close(taken[:3], rois[[2, 0, 1]])
    again, first = taken[3:, 1:], rois[[2, 0], 1:]
    assert bool((again[:, :2] < first[:, :2]).all() and (again[:, 2:] > first[:, 2:]).all())
    assert bool((taken[:, 1:] >= 0).all() and (taken[:, 1:] <= 1).all())


def test_difference_is_the_largest_and_never_hides_what_is_not_a_number() -> None:
    zeros = np.zeros((2, 3, 4, 4), np.float32)
    other = zeros.copy()
    other[1, 2, 3, 3] = -0.25
    assert max_difference(zeros, other) == 0.25
    assert max_difference(zeros[:0], zeros[:0]) == 0.0
    other[0, 0, 0, 0] = np.nan
    assert max_difference(zeros, other) > 1e30
    assert max_difference(zeros, zeros[:1]) > 1e30, "shapes that numpy would broadcast"


def test_agreement_counts_pixels_of_the_same_person_class() -> None:
    one = np.zeros((1, 3, 1, 4), np.float32)
    one[0, [0, 1, 1, 2], 0, [0, 1, 2, 3]] = 1  # background, target, target, non-target
    other = np.zeros_like(one)
    other[0, [0, 1, 2, 2], 0, [0, 1, 2, 3]] = 1
    assert agreement(one, other) == (2, 3)
    probabilities = np.array([[[[0.4, 0.6, 0.9]]]], np.float32)
    assert agreement(probabilities, 1 - probabilities) == (0, 3)
    assert agreement(probabilities, probabilities).iou == 1.0
    assert agreement(one[:0], one[:0]).iou == 1.0


def test_a_difference_above_the_tolerance_names_the_worst_case() -> None:
    cases = [
        ParityCase(images=1, rois=5, max_difference=3e-6, mask_iou=1.0),
        ParityCase(images=2, rois=5, max_difference=2e-4, mask_iou=0.75),
    ]
    report = summarise(cases, onnx="a.onnx", content=b"a model", checkpoint_sha256="0" * 64, opset=18)
    assert (report.passed, report.max_difference, report.mask_iou) == (False, 2e-4, 0.75)
    with pytest.raises(ExportError, match=r"differ by 0\.0002 for 2 images and 5 rois"):
        require_passed(report)
    require_passed(summarise(cases[:1], onnx="a.onnx", content=b"a model", checkpoint_sha256="0" * 64, opset=18))
