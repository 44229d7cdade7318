import time
from pathlib import Path

import numpy as np
import pytest
from small_exports import small_export

from human_edge_detection.benchmarking.latency import (
    WARM_UP,
    Times,
    example_boxes,
    example_image,
    race,
    summarise,
    take_turns,
)
from human_edge_prediction import open_model


def test_all_are_warm_before_the_first_is_measured_and_every_round_has_each_once() -> None:
    called: list[str] = []
    times = take_turns([lambda: called.append("a"), lambda: called.append("b")], rounds=8)
    assert times.wall.shape == times.cpu.shape == (8, 2)
    assert (times.wall >= 0).all()
    assert called[: 2 * WARM_UP] == ["a", "b"] * WARM_UP
    rounds = [tuple(called[start : start + 2]) for start in range(2 * WARM_UP, len(called), 2)]
    assert len(rounds) == 8
    assert {*rounds} == {("a", "b"), ("b", "a")}  # nobody is always the one after the same other one


def test_each_call_has_its_own_time_and_waiting_is_no_processor_time() -> None:
    times = take_turns([lambda: time.sleep(0.05), lambda: None], rounds=3)
    assert (times.wall[:, 0] >= 0.05).all()
    assert np.median(times.wall[:, 1]) < 0.05
    assert np.median(times.cpu[:, 0]) < 0.02


def test_slow_calls_have_fewer_rounds_and_at_least_those_that_are_asked_for() -> None:
    called: list[int] = []
    times = take_turns([lambda: called.append(0)], rounds=8, seconds=0.0, least_rounds=3)
    assert times.wall.shape == times.cpu.shape == (3, 1)
    assert len(called) == 1 + 3  # warmed up once
    assert len(take_turns([lambda: time.sleep(0.02)], rounds=1000, seconds=0.2).wall) < 12


def test_a_slow_round_does_not_change_the_ratio() -> None:
    reference = np.array([1.0, 1.0, 10.0, 1.0, 1.0])
    times = Times(np.stack([reference, 2 * reference], axis=1), np.ones((5, 2)))
    latency = summarise(times, 1, 0)
    assert latency.median == pytest.approx(2000.0)
    assert latency.p95 > 10_000.0
    assert latency.cpu == pytest.approx(1000.0)
    assert latency.ratio == pytest.approx(2.0)
    assert summarise(times, 0, None).ratio is None


def test_boxes_lie_in_the_image_and_fewer_are_the_first_of_more() -> None:
    boxes = np.array(example_boxes(10))
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert example_boxes(3) == example_boxes(10)[:3]
    assert example_image((32, 64)).shape == (32, 64, 3)


def test_in_a_race_both_take_turns_and_the_second_has_the_ratio(tmp_path: Path) -> None:
    first, second = (open_model(small_export(tmp_path / name), threads=1) for name in ("a.onnx", "b.onnx"))
    before, after = race(first, second, rois=2, rounds=9, seconds=60.0)
    assert before.ratio is None
    assert after.ratio is not None
    assert 0.2 < after.ratio < 5.0, "it is the same model"
    assert min(before.cpu, after.cpu) > 0.0
