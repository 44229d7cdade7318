import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_detection.metrics.detection import METRICS, DetectionMetrics, Prediction, TruePerson

SIZE = (120, 160)
Box = tuple[float, float, float, float]
TALL: Box = (60.0, 30.0, 100.0, 90.0)
SHORT: Box = (10.0, 10.0, 20.0, 25.0)
REGION: Box = (110.0, 10.0, 150.0, 110.0)


def person(box: Box, *, is_region: bool = False) -> TruePerson:
    """One that fills the box."""
    x1, y1, x2, y2 = box
    return TruePerson(box, [[x1, y1, x2, y1, x2, y2, x1, y2]], (x2 - x1) * (y2 - y1), is_region)


def predicted(*boxes: Box, scores: tuple[float, ...] | None = None, filled: bool = True) -> Prediction:
    fractions = np.array(boxes, np.float32).reshape(-1, 4) / [SIZE[1], SIZE[0], SIZE[1], SIZE[0]]
    masks: NDArray[np.float32] = np.full((len(boxes), 8, 6), 0.9 if filled else 0.1, np.float32)
    return Prediction(fractions.astype(np.float32), masks, None if scores is None else np.array(scores, np.float32))


def measured(persons: list[TruePerson], own: Prediction, given: Prediction) -> dict[str, float | None]:
    metrics = DetectionMetrics()
    metrics.add(SIZE, persons, own, given)
    return metrics.compute()


PERSONS = [person(TALL), person(SHORT), person(REGION, is_region=True)]


def test_true_boxes_with_full_masks_are_perfect() -> None:
    values = measured(PERSONS, predicted(TALL, SHORT, scores=(0.9, 0.8)), predicted(TALL, SHORT))
    assert tuple(values) == METRICS
    absent = {name for name in METRICS if name.endswith("_large")}
    assert {name for name, value in values.items() if value is None} == absent
    assert all(value == pytest.approx(1.0) for value in values.values() if value is not None)


def test_who_is_not_found_is_missing_in_the_own_masks_alone() -> None:
    values = measured(PERSONS, predicted(TALL, scores=(0.9,)), predicted(TALL, SHORT))
    assert values["recall10"] == pytest.approx(0.5)
    assert [values["recall10_tall"], values["recall10_small"]] == pytest.approx([1.0, 0.0])
    assert [values["box_AP50"], values["own_mask_AP50"]] == pytest.approx([0.5, 0.5], abs=0.01)
    assert [values["own_mask_AP50_tall"], values["given_mask_AP50"]] == pytest.approx([1.0, 1.0])


def test_what_is_found_where_nobody_is_costs_precision_unless_it_is_in_a_region() -> None:
    given = predicted(TALL, SHORT)
    elsewhere: Box = (10.0, 60.0, 50.0, 110.0)
    inside: Box = (112.0, 20.0, 148.0, 100.0)
    for more, expected in ((elsewhere, 0.667), (inside, 1.0)):
        values = measured(PERSONS, predicted(more, TALL, SHORT, scores=(0.95, 0.9, 0.8)), given)
        assert [values["box_AP50"], values["own_mask_AP50"]] == pytest.approx([expected, expected], abs=0.01)
        assert values["recall10"] == pytest.approx(1.0)


def test_recall_is_of_the_ten_likeliest() -> None:
    wrong: list[Box] = [(2.0 + i, 70.0, 12.0 + i, 80.0) for i in range(10)]
    for first, expected in ((9, 1.0), (10, 0.0)):
        own = predicted(*wrong[:first], TALL, scores=(*[0.9] * first, 0.5))
        assert measured([person(TALL)], own, predicted(TALL))["recall10"] == pytest.approx(expected)


def test_empty_masks_leave_their_boxes() -> None:
    values = measured(PERSONS, predicted(TALL, SHORT, scores=(0.9, 0.8), filled=False), predicted())
    assert values["box_AP50"] == pytest.approx(1.0)
    assert [values["own_mask_AP50"], values["given_mask_AP50"]] == [0.0, 0.0]


def test_without_images_there_are_no_values() -> None:
    assert DetectionMetrics().compute() == dict.fromkeys(METRICS)
