from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.errors import ExportError
from human_edge_detection.exporters.parity import (
    FLOAT32,
    ODD_BOXES,
    agreement,
    compare_output,
    parity_inputs,
    require_passed,
    summarise,
    take_rois,
)
from human_edge_detection.runs.records import LARGEST_AMOUNT, OutputParity, ParityCase, ParityReport, ParityTolerances


def logits_of(*probabilities: tuple[float, float, float]) -> NDArray[np.float32]:
    """``(1, 3, 1, W)`` logits of pixels with these probabilities."""
    logits: NDArray[np.float64] = np.log(np.array(probabilities))
    return logits.T[None, :, None].astype(np.float32)


def person(*probabilities: float) -> NDArray[np.float32]:
    """``(1, 1, 1, W)`` person probabilities."""
    return np.array(probabilities, np.float32)[None, None, None]


def report_of(*outputs: OutputParity, tolerances: ParityTolerances = FLOAT32) -> ParityReport:
    """Of a case that passes and, after it, one of these outputs."""
    fine = OutputParity(output="masks", max_difference=0.0, max_probability_difference=0.0, class_changes=0)
    largest = max(output.max_difference for output in outputs)
    cases = [
        ParityCase(images=1, rois=1, max_difference=0.0, mask_iou=1.0, outputs=(fine,)),
        ParityCase(images=2, rois=5, max_difference=largest, mask_iou=0.75, outputs=outputs),
    ]
    return summarise(cases, tolerances, onnx="a.onnx", content=b"a model", checkpoint_sha256="0" * 64, opset=18)


def rois_of(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.fixture
def dataset(tiny_coco: Path) -> PersonDataset:
    people = read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")
    return PersonDataset(people, image_size=(64, 64), mask_size=(32, 24), augmentation=None, max_rois=None, seed=0)


def test_inputs_cover_one_and_two_images_with_one_and_five_rois_of_them(dataset: PersonDataset) -> None:
    cases = parity_inputs(dataset, with_rois=True)
    assert [(len(case["images"]), len(case["rois"])) for case in cases] == [(1, 1), (1, 5), (2, 1), (2, 5), (2, 6)]
    for case in cases:
        rois = case["rois"]
        assert int(rois[0, 0]) == len(case["images"]) - 1, "a single roi must try the last image"
        assert set(rois[:, 0].tolist()) <= set(range(len(case["images"])))
        assert bool((rois[:, 3:] > rois[:, 1:3]).all()), "boxes must not be empty"
    assert set(cases[-2]["rois"][:, 0].tolist()) == set(cases[-1]["rois"][:, 0].tolist()) == {0.0, 1.0}
    assert (cases[-1]["rois"][:, 1:] == torch.tensor(ODD_BOXES)).all()
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


@pytest.mark.parametrize(("moved", "passes"), [(0.9e-3, True), (2e-3, False)])
def test_probabilities_may_move_by_the_tolerance(moved: float, passes: bool) -> None:
    sure, unsure = (0.98, 0.01, 0.01), (0.2, 0.7, 0.1)
    masks = compare_output("masks", logits_of(sure, unsure), logits_of(sure, (0.2 + moved, 0.7 - moved, 0.1)), FLOAT32)
    assert masks.max_probability_difference == pytest.approx(moved, rel=1e-3)
    assert masks.class_changes == 0
    binary_masks = compare_output("binary_masks", person(0.1, 0.7), person(0.1, 0.7 + moved), FLOAT32)
    assert binary_masks.max_probability_difference == pytest.approx(moved, rel=1e-3)
    assert binary_masks.max_difference == pytest.approx(moved, rel=1e-3)
    for output in (masks, binary_masks):
        report = report_of(output)
        assert report.passed == passes
        assert report.max_probability_difference == output.max_probability_difference
        if not passes:
            words = rf"probabilities of {output.output} differ .* by 0\.002 \(images: 2, rois: 5; allowed: 0\.001\)"
            with pytest.raises(ExportError, match=rf"^{words}; a\.onnx was not written; [^\n]*$"):
                require_passed(report)
        loose = FLOAT32.model_copy(update={"probability": 1e-2})
        assert report_of(output, tolerances=loose).passed, "tolerances are those that are given"


def test_large_logits_may_differ_where_probabilities_do_not() -> None:
    expected = np.array([25.0, -20.0, 0.0], np.float32).reshape(1, 3, 1, 1)
    exported = expected + np.array([0.5, -9.0, 0.1], np.float32).reshape(1, 3, 1, 1)
    output = compare_output("masks", expected, exported, FLOAT32)
    assert output.max_difference == 9.0
    report = report_of(output)
    assert report.passed and report.max_difference == 9.0, "reported, and judges nothing"
    require_passed(report)


def test_classes_may_change_only_within_the_margin_of_the_trained_model() -> None:
    close, apart = (0.4995, 0.4985, 0.002), (0.501, 0.498, 0.001)
    turned = [(second, first, third) for first, second, third in (close, apart)]
    masks = compare_output("masks", logits_of(close, apart, apart), logits_of(*turned, apart), FLOAT32)
    assert masks.class_changes == 1
    binary_masks = compare_output(
        "binary_masks", person(0.5009, 0.4991, 0.502, 0.498), person(0.4999, 0.5001, 0.4999, 0.5001), FLOAT32
    )
    assert binary_masks.class_changes == 2
    for output in (masks, binary_masks):
        moved = output.model_copy(update={"max_probability_difference": 0.0})  # so that the classes alone decide
        report = report_of(moved, moved)
        assert not report.passed
        assert report.class_changes == 2 * output.class_changes
        assert report.problem == (
            f"{output.class_changes} pixels of {output.output} have another class "
            "(images: 2, rois: 5; allowed: 0 where the margin is 0.002 or more)"
        )
    wide = FLOAT32.model_copy(update={"margin": 5e-3})
    assert compare_output("masks", logits_of(apart), logits_of(turned[1]), wide).class_changes == 0


def test_what_is_wrong_in_both_ways_is_said_in_one_line() -> None:
    problem = report_of(compare_output("binary_masks", person(0.9), person(0.1), FLOAT32)).problem
    assert problem is not None
    assert "differ from PyTorch's by 0.8" in problem and ", and 1 pixels of binary_masks have" in problem
    assert "\n" not in problem


def test_what_is_not_a_number_or_of_another_shape_never_passes() -> None:
    expected = logits_of((0.7, 0.2, 0.1), (0.7, 0.2, 0.1))
    exported = expected.copy()
    exported[0, 2, 0, 1] = np.nan
    for other in (exported, expected[..., :1]):  # numpy would broadcast the latter
        output = compare_output("masks", expected, other, FLOAT32)
        assert (output.max_difference, output.class_changes) == (LARGEST_AMOUNT, 2)
        assert agreement("masks", expected, other) == (0, 1)
        with pytest.raises(ExportError, match=r"masks have another shape .* not finite \(images: 2, rois: 5\)"):
            require_passed(report_of(output))
    not_finite = compare_output("masks", exported, exported, FLOAT32)
    assert not report_of(not_finite).passed, "also when PyTorch says the same"


def test_no_roi_is_no_difference() -> None:
    nothing = np.zeros((0, 3, 4, 4), np.float32)
    output = compare_output("masks", nothing, nothing, FLOAT32)
    assert (output.max_difference, output.max_probability_difference, output.class_changes) == (0.0, 0.0, 0)


def test_agreement_counts_pixels_of_the_same_person_class() -> None:
    one = np.zeros((1, 3, 1, 4), np.float32)
    one[0, [0, 1, 1, 2], 0, [0, 1, 2, 3]] = 1  # background, target, target, non-target
    other = np.zeros_like(one)
    other[0, [0, 1, 2, 2], 0, [0, 1, 2, 3]] = 1
    assert agreement("masks", one, other) == (2, 3)
    probabilities = person(0.4, 0.6, 0.9)
    assert agreement("binary_masks", probabilities, 1 - probabilities) == (0, 3)
    assert agreement("binary_masks", probabilities, probabilities).iou == 1.0
    assert agreement("masks", one[:0], one[:0]).iou == 1.0
