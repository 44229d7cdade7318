"""Figures of a paired comparison: bars with intervals, learning curves, gains of single images."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from human_edge_detection.runner.comparison.paired import Comparison, Line
from human_edge_detection.runner.comparison.runs_by_seed import Method
from human_edge_detection.runner.comparison.slices import ALL
from human_edge_detection.runs.records import read_history

_DPI: Final = 120
_COLORS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, which color-blind readers can tell apart."""
_CONTROL: Final = "#777777"
_PANELS: Final = 3
"""Scatter plots beside each other."""


def draw_figures(comparison: Comparison, methods: Sequence[Method], control: Method | None) -> dict[str, bytes]:
    """The figures as PNG by file name; curves are left out when no run has a metrics.jsonl.

    Raises:
        CheckpointError: metrics.jsonl of a run is damaged.
    """
    drawn = {"bars.png": _bars(comparison)}
    sides = [*methods, *([control] if control else [])]
    seeds = {effort.method: effort.seeds for effort in comparison.efforts}
    curves = {method.name: _curves(method, seeds[method.name]) for method in sides}
    if any(curves.values()):
        drawn["curves.png"] = _learning_curves(curves, comparison)
    if comparison.gains:
        drawn["gains.png"] = _gains(comparison)
    return {name: _png(figure) for name, figure in drawn.items()}


def _bars(comparison: Comparison) -> Figure:
    lines = [line for line in comparison.lines if line.slice == ALL.name]
    names = list(dict.fromkeys(line.metric for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines))
    width = 2.0 + 0.5 * len(names) * (1 + 0.4 * len(methods))
    figure, axes = _figure(2 if comparison.control else 1, 1, width=min(width, 20.0))
    _score_bars(axes[0], lines, names, methods, comparison.control)
    axes[0].set_title(f"score on {comparison.split} (mean; whiskers: smallest and largest seed)")
    if comparison.control:
        _difference_bars(axes[1], lines, names, methods, comparison.control)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _score_bars(
    axes: Axes, lines: Sequence[Line], names: Sequence[str], methods: Sequence[str], control: str | None
) -> None:
    series: dict[str, dict[str, Any]] = {method: {} for method in ([control] if control else []) + list(methods)}
    for line in lines:
        series[line.method][line.metric] = line.score
        if control and line.difference:
            series[control].setdefault(line.metric, line.difference.control)
    width = 0.8 / len(series)
    for number, (method, spreads) in enumerate(series.items()):
        at = [names.index(name) + (number - (len(series) - 1) / 2) * width for name in spreads]
        means = [spread.mean for spread in spreads.values()]
        reach = [[spread.mean - spread.min for spread in spreads.values()]]
        reach += [[spread.max - spread.mean for spread in spreads.values()]]
        axes.bar(at, means, width, yerr=reach, capsize=2, label=method, color=_color(method, methods, control))
    _name_metrics(axes, names)
    axes.set_ylim(0, 1)


def _difference_bars(
    axes: Axes, lines: Sequence[Line], names: Sequence[str], methods: Sequence[str], control: str
) -> None:
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        found = {line.metric: line.difference for line in lines if line.method == method and line.difference}
        for name, difference in found.items():
            at = names.index(name) + (number - (len(methods) - 1) / 2) * width
            shown = difference.verdict in ("better", "worse")
            color = _color(method, methods, control)
            axes.bar(at, difference.mean, width, color=color, alpha=1.0 if shown else 0.35)
            if difference.low is not None and difference.high is not None:
                axes.plot([at, at], [difference.low, difference.high], color="black", linewidth=1.2)
    axes.axhline(0.0, color="black", linewidth=0.8)
    _name_metrics(axes, names)
    axes.set_title(f"difference to {control}, 95 % interval\n(pale: the interval contains 0, or too few images)")


def _learning_curves(curves: Mapping[str, list[list[float]]], comparison: Comparison) -> Figure:
    figure, (axes,) = _figure(1, 1, width=8.0)
    methods = [name for name in curves if name != comparison.control]
    for method, seeds in curves.items():
        color = _color(method, methods, comparison.control)
        for values in seeds:
            axes.plot(range(1, len(values) + 1), values, color=color, alpha=0.3, linewidth=0.8)
        if seeds:
            length = min(map(len, seeds))
            mean = np.mean([values[:length] for values in seeds], axis=0)
            axes.plot(range(1, length + 1), mean, color=color, linewidth=2.0, label=method)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation score (mIoU)")
    axes.set_title("learning curves (thin: single seeds, thick: mean)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _gains(comparison: Comparison) -> Figure:
    columns = min(_PANELS, len(comparison.gains))
    figure, panels = _figure(math.ceil(len(comparison.gains) / columns), columns, width=5.0)
    methods = list(comparison.gains)
    for axes, (method, (before, after)) in zip(panels, comparison.gains.items(), strict=False):
        counted = np.isfinite(before) & np.isfinite(after)
        color = _color(method, methods, comparison.control)
        axes.scatter(before[counted], after[counted], s=8, alpha=0.5, color=color, edgecolors="none")
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        above = int((after[counted] > before[counted]).sum())
        axes.set_title(
            f"mIoU of each {comparison.split} image: {above} of {int(counted.sum())} higher", fontsize="medium"
        )
        axes.set_xlabel(str(comparison.control))
        axes.set_ylabel(method)
    for axes in panels[len(comparison.gains) :]:
        axes.set_visible(False)
    return figure


def _curves(method: Method, seeds: Sequence[int]) -> list[list[float]]:
    """The validation score of each epoch, of each of ``seeds`` that has recorded any."""
    found = []
    for run in (method.runs[seed] for seed in seeds):
        name = f"val/{run.config.model.monitored_metric}"
        values = [record.get(name) for record in read_history(run.paths.metrics)]
        if values:
            found.append([math.nan if value is None else float(value) for value in values])
    return found


def _name_metrics(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize="small")
    axes.grid(axis="y", alpha=0.3)


def _color(method: str, methods: Sequence[str], control: str | None) -> str:
    return _CONTROL if method == control else _COLORS[methods.index(method) % len(_COLORS)]


def _figure(rows: int, columns: int, *, width: float) -> tuple[Figure, list[Axes]]:
    """``rows`` by ``columns`` panels, each ``width`` inches wide."""
    figure = Figure(figsize=(max(width, 4.0) * columns, 4.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, columns, squeeze=False)))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
