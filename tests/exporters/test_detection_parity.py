import numpy as np
import pytest
import torch

from human_edge_detection.exporters.detection_parity import (
    DetectionParity,
    Detections,
    Expected,
    compare_detections,
    expected_detections,
)
from human_edge_detection.exporters.parity import FLOAT32

SIZE = (100, 200)
Found = tuple[tuple[float, float, float, float], float]
"""A box in pixels, and its score."""
PEOPLE: tuple[Found, ...] = (
    ((20, 10, 60, 90), 0.9),
    ((24, 12, 64, 92), 0.8),  # close behind the first: they overlap by 0.78
    ((150, 30, 190, 80), 0.5),
)


def detections(*found: Found) -> Detections:
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return Detections(boxes / [200, 100, 200, 100], np.array([score for _, score in found], np.float32))


def compare(expected: tuple[Found, ...], exported: tuple[Found, ...], *, unsure: int = 0) -> DetectionParity:
    """The last ``unsure`` of the expected ones are found or not by rounding."""
    is_sure = np.arange(len(expected)) < len(expected) - unsure
    return compare_detections(
        Expected(detections(*expected), is_sure), detections(*exported), image_size=SIZE, tolerances=FLOAT32
    )


def moved(found: Found, pixels: float, score: float = 0.0) -> Found:
    (x1, y1, x2, y2), before = found
    return (x1 + pixels, y1, x2, y2 - pixels), before + score


def test_the_order_does_not_count_and_rounding_is_measured() -> None:
    exported = tuple(moved(PEOPLE[number], 0.4, 0.0009) for number in (2, 1, 0))
    parity = compare(PEOPLE, exported)
    assert parity.max_box_difference == pytest.approx(0.4, abs=1e-4)
    assert parity.max_score_difference == pytest.approx(0.0009, abs=1e-6)
    assert (parity.missing, parity.extra) == (0, 0)
    assert compare((), ()) == (0.0, 0.0, 0, 0)


@pytest.mark.parametrize(("pixels", "score"), [(0.6, 0.0), (0.0, 0.002), (2.0, 0.01)])
def test_what_moves_too_far_is_measured_and_not_missing(pixels: float, score: float) -> None:
    parity = compare(PEOPLE, (moved(PEOPLE[0], pixels, score), *PEOPLE[1:]))
    assert parity.max_box_difference == pytest.approx(pixels, abs=1e-4)
    assert parity.max_score_difference == pytest.approx(score, abs=1e-6)
    assert (parity.missing, parity.extra) == (0, 0)


def test_who_is_missing_or_too_many_is_counted_unless_rounding_decides() -> None:
    assert compare(PEOPLE, PEOPLE[:2])[2:] == (1, 0)
    assert compare(PEOPLE[:2], PEOPLE)[2:] == (0, 1)
    near = ((100.0, 10.0, 140.0, 60.0), 0.3008)
    beside = ((102.0, 12.0, 142.0, 62.0), 0.3002)
    for exported in (PEOPLE, (near, *PEOPLE), (beside, *PEOPLE), (near, beside, *PEOPLE)):
        parity = compare((*PEOPLE, near, beside), exported, unsure=2)
        assert parity.max_box_difference == pytest.approx(0.0, abs=1e-4)
        assert parity.max_score_difference == pytest.approx(0.0, abs=1e-6)
        assert (parity.missing, parity.extra) == (0, 0)
    elsewhere = ((0.0, 0.0, 10.0, 10.0), 0.3002)
    assert compare((*PEOPLE, near), (elsewhere, *PEOPLE), unsure=1).extra == 1


def test_boxes_of_a_pixel_and_equal_boxes_are_paired() -> None:
    box, beside = (10.0, 10.0, 11.0, 11.0), (10.45, 10.45, 11.45, 11.45)
    assert compare(((box, 0.7),), ((beside, 0.7),))[2:] == (0, 0), "they overlap by 0.18"
    crossed = compare(((box, 0.7), (beside, 0.5)), ((box, 0.5), (beside, 0.7)))
    assert crossed.max_score_difference < 1e-6, "what is within tolerances comes before what overlaps more"
    twice = (PEOPLE[0][0], 0.6)
    assert compare((PEOPLE[0], twice), (twice, PEOPLE[0])) == (0.0, 0.0, 0, 0)
    worse = compare((PEOPLE[0], twice), (moved(twice, 0.0, 0.002), moved((twice[0], 0.9), 0.0, 0.002)))
    assert worse.max_score_difference == pytest.approx(0.002, abs=1e-6), "of equal boxes, the nearest score"
    one_of_two = compare((PEOPLE[0], PEOPLE[0]), (PEOPLE[0],), unsure=1)
    assert one_of_two[2:] == (0, 0), "who is sure comes first"


def test_what_is_not_a_number_matches_nothing() -> None:
    parity = compare(PEOPLE, ((PEOPLE[0][0], float("nan")), *PEOPLE[1:]))
    assert (parity.missing, parity.extra) == (3, 3)


def expected_of(*places: tuple[int, int, float], min_score: float = 0.3, max_persons: int = 5) -> dict[int, bool]:
    """Of a map with these probabilities (row, column, probability): column of who may be found -> whether for sure."""
    probability = torch.full((1, 1, 4, 12), 0.001)
    for row, column, score in places:
        probability[0, 0, row, column] = score
    columns = (torch.arange(12) / 100).expand(1, 1, 4, 12)
    boxes = torch.cat([columns, columns * 0, columns + 0.5, columns * 0 + 0.5], dim=1)
    (expected,) = expected_detections(
        probability.logit(), boxes, min_score=min_score, max_persons=max_persons, tolerances=FLOAT32
    )
    found, is_sure = expected
    assert found.boxes[:, 2] == pytest.approx(found.boxes[:, 0] + 0.5)
    return {round(100 * float(box[0])): bool(sure) for box, sure in zip(found.boxes, is_sure, strict=True)}


def test_peaks_that_are_clear_are_sure_and_of_close_ones_either_may_be_found() -> None:
    assert expected_of((1, 1, 0.9), (1, 2, 0.8), (2, 6, 0.5)) == {1: True, 6: True}
    assert expected_of((1, 1, 0.9), (1, 2, 0.899)) == {1: False, 2: False}
    assert expected_of((1, 1, 0.9), (1, 2, 0.897)) == {1: True}


def test_rounding_may_lift_a_person_above_the_threshold() -> None:
    assert expected_of((1, 1, 0.3005), (1, 5, 0.2995), (1, 9, 0.298)) == {1: False, 5: False}
    assert expected_of((1, 1, 0.302)) == {1: True}


def test_of_more_than_the_most_persons_the_last_ones_are_unsure_when_they_are_as_likely() -> None:
    three = ((1, 1, 0.9), (1, 5, 0.6004), (1, 9, 0.6))
    assert expected_of(*three, max_persons=2) == {1: True, 5: False, 9: False}
    assert expected_of(*three, max_persons=3) == {1: True, 5: False, 9: False}
    assert expected_of(*three, max_persons=4) == {1: True, 5: True, 9: True}
    assert expected_of((1, 1, 0.9), (1, 5, 0.7), (1, 9, 0.6), max_persons=2) == {1: True, 5: False}
