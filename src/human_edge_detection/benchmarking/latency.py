"""How long models take: all are loaded, warmed up, and take turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import Model
from human_edge_prediction.resampling import resize

WARM_UP: Final = 3
"""Calls of each model before any is measured."""
P95: Final = 95
_LEAST_ROUNDS: Final = 5
"""Of a race, however long they take."""
Seconds = NDArray[np.float64]


class Times(NamedTuple):
    """Seconds of calls that took turns, each ``(rounds, calls)``.

    Attributes:
        wall: On the clock.
        cpu: Of the processor, in all threads of this process.
    """

    wall: Seconds
    cpu: Seconds


class Latency(NamedTuple):
    """Milliseconds of one call.

    Attributes:
        median: Of all rounds.
        p95: The value that 95 % of the rounds stay below.
        cpu: Median of the processor time of all threads, which other programs hardly change.
        ratio: Median over the rounds of this call's time over the reference's; None without a reference.
    """

    median: float
    p95: float
    cpu: float
    ratio: float | None


def take_turns(
    calls: Sequence[Callable[[], Any]], rounds: int, *, seconds: float = math.inf, least_rounds: int = 1
) -> Times:
    """Times every call once in each round, in an order of the round's own.

    Args:
        calls: Each is called :data:`WARM_UP` times before, at least once.
        rounds: At least 1.
        seconds: When they are over, calls before included, no other round is begun.
        least_rounds: That are made, however long they take.
    """
    began = time.monotonic()
    for _ in range(WARM_UP):
        for call in calls:
            call()
        if time.monotonic() - began > seconds / 4:
            break
    rng = np.random.default_rng(0)
    times = Times(np.zeros((rounds, len(calls))), np.zeros((rounds, len(calls))))
    for number_of_round in range(rounds):
        if number_of_round >= least_rounds and time.monotonic() - began > seconds:
            return Times(times.wall[:number_of_round], times.cpu[:number_of_round])
        for number in rng.permutation(len(calls)):
            started, used = time.perf_counter(), time.process_time()
            calls[number]()
            times.wall[number_of_round, number] = time.perf_counter() - started
            times.cpu[number_of_round, number] = time.process_time() - used
    return times


def summarise(times: Times, number: int, reference: int | None) -> Latency:
    """The latency of the call ``number``, with its ratio to the call ``reference``."""
    wall = times.wall[:, number]
    ratio = None if reference is None else float(np.median(wall / times.wall[:, reference]))
    p95 = float(np.percentile(wall, P95))
    return Latency(1e3 * float(np.median(wall)), 1e3 * p95, 1e3 * float(np.median(times.cpu[:, number])), ratio)


def race(first: Model, second: Model, *, rois: int | None, rounds: int, seconds: float) -> tuple[Latency, Latency]:
    """The latency of two models that take turns, with the ratio of the second to the first.

    Args:
        first: With as many threads as it was opened with.
        second: Likewise.
        rois: That both are asked about; None of models that take none.
        rounds: Measurements of each.
        seconds: When they are over, no other round is begun; five are made in any case.
    """
    calls = [example_call(model, rois) for model in (first, second)]
    times = take_turns(calls, rounds, seconds=seconds, least_rounds=_LEAST_ROUNDS)
    return summarise(times, 0, None), summarise(times, 1, 0)


def example_call(model: Model, rois: int | None) -> Callable[[], Any]:
    """Runs ``model`` on an image that is already prepared, with so many rois; the outputs are not looked at."""
    return model.prepared(example_image(model.input.size), example_boxes(rois or 0))


def example_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Coloured blotches, ``(height, width, 3)``."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(resize(coarse, size), np.uint8)


def example_boxes(count: int) -> list[tuple[float, float, float, float]]:
    """Boxes of all sizes, as fractions of the image."""
    corners = np.random.default_rng(0).random((count, 4))
    return [(0.5 * x1, 0.5 * y1, 0.6 + 0.4 * x2, 0.6 + 0.4 * y2) for x1, y1, x2, y2 in corners.tolist()]
