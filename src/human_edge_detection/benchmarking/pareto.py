"""The picture of a benchmark: which models nobody beats both in accuracy and in time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from human_edge_detection.benchmarking.artefacts import shown_size
from human_edge_detection.benchmarking.records import Benchmark, Row
from human_edge_detection.runner.comparison.pareto_front import Point, pareto_front

_DPI: Final = 120
_COLORS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
"""Okabe and Ito's, which color-blind readers can tell apart."""
_MARKERS: Final = "os^DvP*X<>"
"""Models differ in their shape too, also when they are printed in grey."""
_TICKS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""In each power of ten; no two of their labels meet."""


def draw_pareto(benchmark: Benchmark) -> bytes:
    """Accuracy over latency as PNG, one panel a metric; without accuracy the size of the file over latency.

    Of each file it shows the first setting: the first number of threads, the first number of rois, the CPU.
    """
    first: dict[tuple[str, tuple[int, int]], Row] = {}
    for row in benchmark.rows:
        first.setdefault((row.model, row.size), row)
    rows = list(first.values())
    panels = [
        (title, points)
        for title, name in (("person IoU (whole image)", "person_iou"), ("mIoU (in the boxes)", "miou"))
        if len(points := _points(rows, name)) > 0
    ]
    if not panels:
        panels = [("file, MiB", _points(rows, "file_mib"))]
    figure = Figure(figsize=(5.5 * len(panels), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    labels = [_label(row) for row in rows]
    smaller_is_better = panels[0][0].startswith("file")
    for axes, (title, points) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, title, points, labels, smaller_is_better=smaller_is_better)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small")
    threads = {row.threads for row in rows}
    asked = sorted({row.rois for row in rows if row.rois is not None})
    rois = f", {asked[0]} roi{'s' if asked[0] != 1 else ''} where a model takes any" if asked else ""
    figure.suptitle(f"{min(threads)} thread{'s' if min(threads) != 1 else ''}{rois}", fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _label(row: Row) -> str:
    return f"{row.model} {shown_size(row.size)}" + (" (random weights)" if row.weights == "random" else "")


def _points(rows: Sequence[Row], name: str) -> list[Point]:
    found = [(row, getattr(row, name)) for row in rows]
    return [Point(_label(row), row.median_ms, value) for row, value in found if value is not None]


def _draw(axes: Axes, title: str, points: Sequence[Point], labels: Sequence[str], *, smaller_is_better: bool) -> None:
    for point in points:
        number = labels.index(point.label)
        axes.plot(
            point.cost,
            point.height,
            linestyle="none",
            marker=_MARKERS[number % len(_MARKERS)],
            color=_COLORS[number % len(_COLORS)],
            markersize=9,
            label=point.label,
        )
    front = pareto_front(points, smaller_is_better=smaller_is_better)
    steps = [(point.cost, point.height) for point in front]
    axes.step(*zip(*steps, strict=True), where="post", color="#777777", linewidth=1.0, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=_TICKS))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("median latency of one image, ms (log scale)")
    axes.set_ylabel(title)
    axes.set_title(f"line: nobody is both quicker and {'smaller' if smaller_is_better else 'more accurate'}")
    axes.grid(alpha=0.3, which="both")
