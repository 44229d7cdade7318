"""Where things stand in the two pictures that need no script: accuracy over cost, and gains with their intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from human_edge_detection.runner.comparison.pareto_front import Point, pareto_front
from human_edge_detection.runner.report import formats
from human_edge_detection.runner.report.runs import MOST_DETAILED, Run

WIDTH, HEIGHT = 560, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 16, 44
_LABEL_PX: Final = 6.6
"""Width of a letter, about."""
_LINE_PX: Final = 14
_MIN_COSTS: Final = 2
"""That differ: else there is nothing to trade."""
FOREST_WIDTH: Final = 200
_FOREST_MARGIN: Final = 8


class Tick(NamedTuple):
    """A mark of an axis: where it is, and its label."""

    at: float
    label: str


class Dot(NamedTuple):
    """A model in the picture; its label is left of it, or right, at the height ``label_y``."""

    number: int
    name: str
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str
    said: str


class Tradeoff(NamedTuple):
    """A picture of accuracy over a cost.

    Attributes:
        title: Of the picture.
        x_label: What the cost is.
        y_label: What the accuracy is.
        dots: The models.
        front: Corners of the line below which a model is beaten, ``x,y`` each.
        x_ticks: Of the cost.
        y_ticks: Of the accuracy.
        note: What has to be known.
    """

    title: str
    x_label: str
    y_label: str
    dots: tuple[Dot, ...]
    front: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    note: str | None


def tradeoffs(runs: Sequence[Run]) -> list[Tradeoff]:
    """Accuracy over latency and over size; those in which runs differ."""
    metric = "miou" if any(run.row.get("miou") is not None for run in runs) else "full_image_iou"
    accuracy = "mIoU" if metric == "miou" else "person IoU"
    scored = [run for run in runs if run.row.get(metric) is not None]
    timed, note = _timed_together(scored)
    found = [
        _tradeoff("latency", "latency of one image, ms", timed, lambda run: run.row["latency_ms"], metric, accuracy),
        _tradeoff(
            "size of the network",
            "parameters, millions",
            [run for run in scored if run.row["total_parameters"]],
            lambda run: run.row["total_parameters"] / 1e6,
            metric,
            accuracy,
        ),
    ]
    charts = [chart for chart in found if chart is not None]
    return [chart._replace(note=note) if chart.title.endswith("latency") else chart for chart in charts]


def _timed_together(runs: Sequence[Run]) -> tuple[list[Run], str | None]:
    """Those of the measurement that most of them are of: only they are comparable."""
    timed = [run for run in runs if run.record.latency is not None]
    names = [run.record.latency.together_with for run in timed if run.record.latency is not None]
    if not names:
        return [], None
    usual, _ = Counter(names).most_common(1)[0]
    kept = [run for run in timed if run.record.latency is not None and run.record.latency.together_with == usual]
    latency = kept[0].record.latency
    assert latency is not None
    height, width = latency.image_size
    said = (
        f"Median of {latency.rounds} rounds in which all models took turns: {latency.threads} thread, one image, "
        f"{latency.rois or 'no'} boxes, on {latency.processor}."
    )
    sizes = {run.record.latency.image_size for run in kept if run.record.latency is not None}
    said += f" Images of {height} × {width} pixels." if len(sizes) == 1 else " Each at the image size of its own."
    others = len(timed) - len(kept)
    return kept, said + (f" {others} runs were timed at another time, so are left out." if others else "")


def _tradeoff(
    title: str, x_label: str, runs: Sequence[Run], cost: Callable[[Run], float], metric: str, accuracy: str
) -> Tradeoff | None:
    if len({cost(run) for run in runs}) < _MIN_COSTS:
        return None
    points = [Point(run.name, cost(run), run.row[metric]) for run in runs]
    front = pareto_front(points)
    if len(runs) > MOST_DETAILED:
        best = sorted(points, key=lambda point: -point.height)[:MOST_DETAILED]
        drawn = {id(point) for point in (*front, *best)}
        kept = [(run, point) for run, point in zip(runs, points, strict=True) if id(point) in drawn]
        runs, points = [run for run, _ in kept], [point for _, point in kept]
    x_ticks, y_ticks = ticks([0.0, *(point.cost for point in points)]), ticks([point.height for point in points])

    def place(point: Point) -> tuple[float, float]:
        return (
            _scaled(point.cost, x_ticks, _LEFT, WIDTH - _RIGHT),
            _scaled(point.height, y_ticks, HEIGHT - _BOTTOM, _TOP),
        )

    dots: list[Dot] = []
    for run, point in zip(runs, points, strict=True):
        said = f"{run.name}: {accuracy} {formats.score(point.height)}, {x_label.split(',')[0]} {point.cost:.3g}"
        dots.append(_dot(run, place(point), said, dots))
    corners = [place(point) for point in front]
    return Tradeoff(
        f"{accuracy} over {title}",
        x_label,
        accuracy,
        tuple(dots),
        " ".join(f"{x:.1f},{y:.1f}" for x, y in _steps(corners)),
        _labelled(x_ticks, _LEFT, WIDTH - _RIGHT),
        _labelled(y_ticks, HEIGHT - _BOTTOM, _TOP),
        None,
    )


def _labelled(values: Sequence[float], start: float, end: float) -> tuple[Tick, ...]:
    decimals = max(len(f"{value:g}".partition(".")[2]) for value in values)
    return tuple(Tick(_scaled(value, values, start, end), f"{value:.{decimals}f}") for value in values)


def _dot(run: Run, place: tuple[float, float], said: str, others: Sequence[Dot]) -> Dot:
    """With its label where there is room for it, away from those of ``others``."""
    x, y = place
    to_left = x + 10 + _LABEL_PX * len(run.name) > WIDTH
    label_y = y + (4 if to_left else 17)  # the front goes on to the right
    while any(abs(label_y - other.label_y) < _LINE_PX and abs(x - other.x) < WIDTH / 2 for other in others):
        label_y += _LINE_PX
    return Dot(run.number, run.name, x, y, x - 10 if to_left else x + 10, label_y, "end" if to_left else "start", said)


def _steps(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A staircase through ``corners``, on to the right edge."""
    line: list[tuple[float, float]] = []
    for x, y in corners:
        if line:
            line.append((x, line[-1][1]))
        line.append((x, y))
    return [*line, (WIDTH - _RIGHT, line[-1][1])]


def ticks(values: Sequence[float], most: int = 6) -> list[float]:
    """Round numbers, evenly spaced, from below the least of ``values`` to above the greatest."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - abs(low) * 0.1 - 0.01, high + abs(high) * 0.1 + 0.01
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _scaled(value: float, along: Sequence[float], start: float, end: float) -> float:
    return start + (value - along[0]) / (along[-1] - along[0]) * (end - start)


class Interval(NamedTuple):
    """A difference in a row of a picture, pixels from its left: both ends, the middle, and where 0 is."""

    low: float
    middle: float
    high: float
    zero: float


def forest(differences: Sequence[tuple[float, float, float] | None]) -> list[Interval | None]:
    """``(low, mean, high)`` of several rows on one axis, which holds 0."""
    known = [value for found in differences if found is not None for value in found]
    most = max((abs(value) for value in known), default=0.0) or 1.0
    half = FOREST_WIDTH / 2

    def place(value: float) -> float:
        return half + value / most * (half - _FOREST_MARGIN)

    return [
        None if found is None else Interval(place(found[0]), place(found[1]), place(found[2]), half)
        for found in differences
    ]
