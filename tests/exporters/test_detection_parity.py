import numpy as np
import pytest

from human_edge_detection.exporters.detection_parity import DetectionParity, Detections, compare_detections
from human_edge_detection.exporters.parity import FLOAT32

SIZE = (100, 200)
THRESHOLD = 0.3
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


def compare(expected: tuple[Found, ...], exported: tuple[Found, ...]) -> DetectionParity:
    return compare_detections(
        detections(*expected),
        detections(*exported),
        image_size=SIZE,
        score_threshold=THRESHOLD,
        tolerances=FLOAT32,
    )


def moved(found: Found, pixels: float, score: float = 0.0) -> Found:
    (x1, y1, x2, y2), before = found
    return (x1 + pixels, y1, x2, y2 - pixels), before + score


def test_the_order_does_not_count_and_rounding_is_allowed() -> None:
    exported = tuple(moved(PEOPLE[number], 0.4, 0.0009) for number in (2, 1, 0))
    parity = compare(PEOPLE, exported)
    assert parity.pairs.tolist() == [[0, 2], [1, 1], [2, 0]]
    assert parity.max_box_difference == pytest.approx(0.4, abs=1e-4)
    assert parity.max_score_difference == pytest.approx(0.0009, abs=1e-6)
    assert parity.problem(FLOAT32) is None
    assert compare((), ()).problem(FLOAT32) is None


@pytest.mark.parametrize(
    ("pixels", "score", "problem"),
    [
        (0.6, 0.0, "boxes differ by 0.6 px (allowed: 0.5)"),
        (0.0, 0.002, "scores differ by 0.002 (allowed: 0.001)"),
        (2.0, 0.01, "boxes differ by 2 px (allowed: 0.5), and scores differ by 0.01 (allowed: 0.001)"),
    ],
)
def test_what_moves_too_far_is_named_with_its_figure(pixels: float, score: float, problem: str) -> None:
    assert compare(PEOPLE, (moved(PEOPLE[0], pixels, score), *PEOPLE[1:])).problem(FLOAT32) == problem


def test_who_is_missing_or_too_many_is_counted_unless_near_the_threshold() -> None:
    lost = compare(PEOPLE, PEOPLE[:2])
    assert (lost.missing, lost.extra) == (1, 0)
    assert str(lost.problem(FLOAT32)).startswith("1 detections are missing and 0 are too many (allowed: 0 whose ")
    won = compare(PEOPLE[:2], PEOPLE)
    assert (won.missing, won.extra) == (0, 1)
    near, other = ((100.0, 10.0, 140.0, 60.0), 0.3008), ((102.0, 12.0, 142.0, 62.0), 0.3002)
    for expected, exported in (((*PEOPLE, near), PEOPLE), (PEOPLE, (near, *PEOPLE))):
        assert compare(expected, exported).problem(FLOAT32) is None
    assert compare((*PEOPLE, near), (other, *PEOPLE)).problem(FLOAT32) is None, "two persons, each found by one model"
    clear = (near[0], 0.3015)
    assert compare((*PEOPLE, clear), PEOPLE).missing == 1


def test_boxes_of_a_pixel_and_equal_boxes_are_paired() -> None:
    box, beside = (10.0, 10.0, 11.0, 11.0), (10.45, 10.45, 11.45, 11.45)
    assert compare(((box, 0.7),), ((beside, 0.7),)).problem(FLOAT32) is None, "they overlap by 0.18"
    crossed = compare(((box, 0.7), (beside, 0.5)), ((box, 0.5), (beside, 0.7)))
    assert crossed.problem(FLOAT32) is None, "what is within tolerances comes before what overlaps more"
    twice = (PEOPLE[0][0], 0.6)
    parity = compare((PEOPLE[0], twice), (twice, PEOPLE[0]))
    assert parity.pairs.tolist() == [[0, 1], [1, 0]]
    assert parity.problem(FLOAT32) is None
    worse = compare((PEOPLE[0], twice), (moved(twice, 0.0, 0.002), moved((twice[0], 0.9), 0.0, 0.002)))
    assert worse.max_score_difference == pytest.approx(0.002, abs=1e-6), "of equal boxes, the nearest score"


def test_what_is_not_a_number_matches_nothing() -> None:
    parity = compare(PEOPLE, ((PEOPLE[0][0], float("nan")), *PEOPLE[1:]))
    assert (len(parity.pairs), parity.missing, parity.extra) == (0, 3, 3)
    assert parity.problem(FLOAT32) is not None
