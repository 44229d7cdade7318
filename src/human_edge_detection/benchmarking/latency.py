"""How long models take: all are loaded, warmed up, and take turns, so that what slows the machine slows all of them."""

from __future__ import annotations

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
Seconds = NDArray[np.float64]


class Latency(NamedTuple):
    """Milliseconds of one call.

    Attributes:
        median: Of all rounds.
        p95: The value that 95 % of the rounds stay below.
        ratio: Median over the rounds of this call's time over the reference's; None without a reference.
    """

    median: float
    p95: float
    ratio: float | None


def take_turns(calls: Sequence[Callable[[], Any]], rounds: int) -> Seconds:
    """Wall seconds ``(rounds, calls)``; in each round every call once, in an order of its own.

    Args:
        calls: Each is called :data:`WARM_UP` times before.
        rounds: At least 1.
    """
    for call in calls:
        for _ in range(WARM_UP):
            call()
    rng = np.random.default_rng(0)
    seconds = np.zeros((rounds, len(calls)))
    for measured in seconds:
        for number in rng.permutation(len(calls)):
            started = time.perf_counter()
            calls[number]()
            measured[number] = time.perf_counter() - started
    return seconds


def summarise(seconds: Seconds, reference: Seconds | None) -> Latency:
    """The latency of a call from its ``(rounds,)`` seconds and those of the reference."""
    ratio = None if reference is None else float(np.median(seconds / reference))
    return Latency(1e3 * float(np.median(seconds)), 1e3 * float(np.percentile(seconds, P95)), ratio)


def example_call(model: Model, rois: int | None) -> Callable[[], Any]:
    """Runs ``model`` on an image that is already prepared, with so many rois; the outputs are not looked at."""
    feeds = model.feeds(example_image(model.input.size), example_boxes(rois or 0))
    return lambda: model.runtime.run(feeds)


def example_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Coloured blotches, ``(height, width, 3)``."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(resize(coarse, size), np.uint8)


def example_boxes(count: int) -> list[tuple[float, float, float, float]]:
    """Boxes of all sizes, as fractions of the image."""
    corners = np.random.default_rng(0).random((count, 4))
    return [(0.5 * x1, 0.5 * y1, 0.6 + 0.4 * x2, 0.6 + 0.4 * y2) for x1, y1, x2, y2 in corners.tolist()]
