"""The end of a batch in the terminal: a table readable at 100 columns, what went wrong, where everything is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from human_edge_detection.console import report_console
from human_edge_detection.runner.comparison.table import Row
from human_edge_detection.runner.comparison.telling import telling_rows
from human_edge_detection.wording import duration, printable

if TYPE_CHECKING:
    from human_edge_detection.runner.report.page import Page

MOST_ROWS: Final = 100
"""Of runs in a terminal; the files have all."""
_OF_VAL = "scores are of val, on which the best epochs were chosen; test: mIoU of hed evaluate RUN --split test"
_STYLES = {"finished": "green", "running": "yellow", "skipped": "yellow", "interrupted": "yellow"}


def page_line(page: Page) -> str:
    """Where a page of ``hed report`` is, and what is in it."""
    images = f"{page.images} images inside" if page.images else "no images inside"
    runs = f"{page.runs} runs" if page.finished == page.runs else f"{page.finished} of {page.runs} runs finished"
    return f"report: {page.path.resolve()} ({runs}, {page.size_bytes / 1e6:.1f} MB, {images})"


def show_report(all_rows: Sequence[Row], files: Sequence[Path], output_dir: Path) -> None:
    """Writes the table, one line for each error, and the paths to stdout; of many rows the most telling."""
    console = report_console()
    rows = [all_rows[number] for number in telling_rows(all_rows, MOST_ROWS)]
    console.print(comparison_table(rows, console))
    if len(rows) < len(all_rows):
        more = f"{len(rows)} of {len(all_rows)} runs: some that did not end well, and those with the best mIoU; all: "
        console.print(Text(f"{more}{files[0]}"), soft_wrap=True)
    for row in rows:
        if row["error"]:
            console.print(Text(f"{row['run']}: {row['status']}: {row['error']}", style="red"), soft_wrap=True)
    for row in rows:
        for title, column in (("share", "why_no_share"), ("gain", "why_no_gain")):
            if row[column]:
                console.print(Text(f"{row['run']}: no {title}: {row[column]}", style="yellow"), soft_wrap=True)
    for text, style in _remarks(all_rows):
        console.print(Text(text, style=style), soft_wrap=True)
    for row in rows:
        if row["onnx"]:
            console.print(Text(f"ONNX: {row['onnx']}"), soft_wrap=True)
    for path in (*files, output_dir.resolve()):
        console.print(Text(f"written: {path}"), soft_wrap=True)


def _remarks(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """What has to be known of the numbers, and its style."""
    if any(row["split"] for row in rows):
        yield _OF_VAL, ""
    tests = {row["test_data"] for row in rows if row.get("test_data")}
    if len(tests) > 1:
        yield f"test: of {len(tests)} test splits; compare runs of equal test_data (in the CSV)", "yellow"
    measurements = {row["latency_measured"] for row in rows if row["latency_measured"]}
    if len(measurements) > 1:
        several = f"latency: of {len(measurements)} measurements; compare runs of equal latency_measured (in the CSV)"
        yield several, "yellow"


def show_lines(lines: Sequence[str]) -> None:
    """Writes ``lines`` to stdout at once, before anything that a child process writes."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def comparison_table(rows: Sequence[Row], console: Console) -> Table:
    """The rows' main numbers; a dash where a run has none. What a narrow console has no room for is left out."""
    titles = [title for title in _NUMBERS if title != "test" or any(row.get("test_miou") is not None for row in rows)]
    nameless = [row | {"run": ""} for row in rows]  # names are folded, all else takes its width
    for title in sorted(_LEFT_OUT, key=lambda title: any(row.get(_NUMBERS[title][0]) is not None for row in rows)):
        narrowest = Measurement.get(console, console.options.update(width=_ANY_WIDTH), _table(nameless, titles))
        if narrowest.minimum <= console.width:
            break
        titles.remove(title)
    return _table(rows, titles)


def _table(rows: Sequence[Row], titles: Sequence[str]) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("run", overflow="fold", min_width=21)
    table.add_column("status", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        state = Text(row["status"], style=_STYLES.get(row["status"], "red"))
        table.add_row(Text(row["run"]), state, *(_shown(row, *_NUMBERS[title]) for title in titles))
    return table


def _shown(row: Row, column: str, form: Callable[[Any], str]) -> str:
    value = row.get(column)
    return "-" if value is None else form(value)


_NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "mIoU": ("miou", "{:.4f}".format),
    "test": ("test_miou", "{:.4f}".format),
    "target": ("iou_target", "{:.4f}".format),
    "bound.F1": ("boundary_f1", "{:.4f}".format),
    "params": ("total_parameters", lambda count: f"{count / 1e6:.2f}M"),
    "share": ("teacher_miou_share", "{:.1%}".format),
    "gain": ("gain_over_control", "{:+.4f}".format),
    "time": ("seconds", duration),
    "parity": ("parity_probability_difference", "{:.0e}".format),
    "latency": ("latency_ms", "{:.1f}ms".format),
    "speedup": ("speedup", "{:.1f}x".format),
}
"""Title -> (column of the comparison, how to write it)."""
_LEFT_OUT = ("bound.F1", "target", "speedup", "parity", "latency")
"""Titles that a narrow console has no room for, the first to go first, empty ones before; the files have them all."""
_ANY_WIDTH = 10_000
