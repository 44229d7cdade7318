"""How a training goes, as one figure: losses, validation scores and learning rate by epoch.

Drawn with OpenCV, which a training has loaded anyway, in 0.02 s of processor time. Matplotlib took 0.3 s for such a
figure, and 2 s to be imported, in each process (2 cores of an AMD EPYC under load).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.engine.evaluation.visualize import FONT, GREY, INK, PAPER, PERSONS, Colour, Pixels

_WIDTH, _HEIGHT = 430, 330
"""Of a panel, pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 52, 40
"""Its margins."""
_SMALL, _NORMAL = 0.4, 0.5
"""Sizes of text."""
_TICKS: Final = 5
_MOST_POINTS: Final = 1000
"""Of a curve: more than there are pixels."""
_PANELS: Final[Mapping[str, Mapping[str, str]]] = {
    "training loss": {"train/total": "total", "train/hard": "hard", "train/soft": "soft"},
    "validation": {
        "val/miou": "mIoU",
        "val/iou_target": "target IoU",
        "val/boundary_f1": "boundary F1",
        "val/full_image_iou": "full image IoU",
    },
    "learning rate": {"train/learning_rate": "mean of the epoch"},
}
"""Title -> field of an epoch's record -> label."""
Values = NDArray[np.float64]


class _Axes(NamedTuple):
    """Where values lie on a panel, pixels."""

    first: float
    last: float
    low: float
    high: float

    def x(self, epoch: float) -> int:
        return _LEFT + round((epoch - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT))

    def y(self, value: float) -> int:
        return _HEIGHT - _BOTTOM - round((value - self.low) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM))


def draw_progress(history: Sequence[Mapping[str, object]]) -> Pixels:
    """The figure, ``(height, width, 3)`` uint8 RGB.

    Args:
        history: One record for each epoch; a value that is missing or not finite is a gap.
    """
    return np.concatenate([_panel(title, names, history) for title, names in _PANELS.items()], axis=1)


def _panel(title: str, names: Mapping[str, str], history: Sequence[Mapping[str, object]]) -> Pixels:
    panel = np.full((_HEIGHT, _WIDTH, 3), PAPER, np.uint8)
    _write(panel, title, _LEFT, 18, size=_NORMAL)
    curves = {label: _values(history, name) for name, label in names.items()}
    curves = {label: values for label, values in curves.items() if np.isfinite(values).any()}
    if not curves:
        _write(panel, "nothing yet", _LEFT, _HEIGHT // 2)
        return panel
    everything = np.concatenate([*curves.values()])
    axes = _axes(len(history), float(np.nanmin(everything)), float(np.nanmax(everything)))
    _draw_grid(panel, axes)
    left = _LEFT
    for (label, values), colour in zip(curves.items(), PERSONS, strict=False):
        _draw_curve(panel, axes, values, colour)
        cv2.line(panel, (left, 36), (left + 14, 36), colour, 3, cv2.LINE_AA)
        left = _write(panel, label, left + 18, 40) + 10
    return panel


def _values(history: Sequence[Mapping[str, object]], name: str) -> Values:
    found = [record.get(name) for record in history]
    numbers = [float(value) if isinstance(value, int | float) else math.nan for value in found]
    values = np.array(numbers, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _axes(epochs: int, low: float, high: float) -> _Axes:
    """With room above and below what is shown, also where all values are equal."""
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return _Axes(1.0, float(max(epochs, 2)), low - room, high + room)


def _draw_grid(panel: Pixels, axes: _Axes) -> None:
    """Lines at round values, with their numbers."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    step = _round_step(axes.high - axes.low)
    for value in _multiples(step, axes.low, axes.high):
        cv2.line(panel, (_LEFT, axes.y(value)), (right, axes.y(value)), GREY, 1)
        text = f"{value:.{max(0, -math.floor(math.log10(step)))}f}" if step >= 1e-4 else f"{value:.1e}"
        _write(panel, text, _LEFT - 6 - _width(text), axes.y(value) + 4)
    for epoch in _multiples(max(1.0, _round_step(axes.last - axes.first)), axes.first, axes.last):
        cv2.line(panel, (axes.x(epoch), bottom), (axes.x(epoch), bottom + 4), INK, 1)
        _write(panel, f"{epoch:.0f}", axes.x(epoch) - _width(f"{epoch:.0f}") // 2, bottom + 16)
    cv2.rectangle(panel, (_LEFT, _TOP), (right, bottom), INK, 1)
    _write(panel, "epoch", (_LEFT + right - _width("epoch")) // 2, bottom + 32)


def _draw_curve(panel: Pixels, axes: _Axes, values: Values, colour: Colour) -> None:
    for first, part in _without_gaps(values):
        every = -(-len(part) // _MOST_POINTS)
        places = range(0, len(part), every)
        points = np.array([(axes.x(first + place + 1), axes.y(part[place])) for place in places], np.int32)
        cv2.polylines(panel, [points], isClosed=False, color=colour, thickness=2, lineType=cv2.LINE_AA)
        if len(part) == 1:
            cv2.circle(panel, (int(points[0, 0]), int(points[0, 1])), 3, colour, cv2.FILLED, cv2.LINE_AA)


def _without_gaps(values: Values) -> Iterator[tuple[int, Values]]:
    """The parts of a curve without missing values: where each begins, and the part."""
    there = np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]])))
    for begin, end in edges.reshape(-1, 2):
        yield int(begin), values[begin:end]


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, about a fifth of ``span``."""
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return float(power * min((1.0, 2.0, 5.0, 10.0), key=lambda factor: abs(factor * power - rough)))


def _multiples(step: float, low: float, high: float) -> Iterator[float]:
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _write(panel: Pixels, text: str, left: int, baseline: int, *, size: float = _SMALL) -> int:
    """Writes ``text``; returns where it ends, pixels."""
    cv2.putText(panel, text, (left, baseline), FONT, size, INK, 1, cv2.LINE_AA)
    return left + _width(text, size=size)


def _width(text: str, *, size: float = _SMALL) -> int:
    (width, _), _ = cv2.getTextSize(text, FONT, size, 1)
    return int(width)
