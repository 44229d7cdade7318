"""A benchmark as files and as a table in the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from human_edge_detection.benchmarking.artefacts import shown_size
from human_edge_detection.benchmarking.records import Benchmark, Row
from human_edge_detection.console import report_console
from human_edge_detection.errors import StorageError
from human_edge_detection.files.strict_json import strict_json
from human_edge_detection.files.write import existing_folder, write_atomically
from human_edge_detection.runner.comparison.table import to_csv

logger = logging.getLogger(__name__)

FILES: Final = ("benchmark.json", "benchmark.csv", "pareto.png")
_WIDTH: Final = 160
"""Columns when the output is no terminal."""
_STYLES: Final = {"random": "yellow", "foreign": "cyan"}


def write_report(benchmark: Benchmark, figure: bytes, folder: Path) -> list[Path]:
    """Writes :data:`FILES` into ``folder``, in place of those of an earlier benchmark, which is said.

    Args:
        benchmark: What to report.
        figure: PNG.
        folder: Made when it is not there.

    Raises:
        StorageError: They cannot be written.
    """
    files = [folder / name for name in FILES]
    if any(file.exists() for file in files):
        logger.info("replacing the benchmark that is in %s", folder)
    content = strict_json(benchmark.to_json(), indent=2) + "\n"
    rows = [asdict(row) for row in benchmark.rows]
    for file, data in zip(files, (content.encode(), to_csv(rows).encode(), figure), strict=True):
        write_atomically(file, data)
    return files


def check_folder(folder: Path) -> None:
    """Refuses a ``folder`` that no report can be written to, before anything is measured.

    Raises:
        StorageError: It is not writable, or cannot be made.
    """
    standing = existing_folder(folder)
    if not (standing.is_dir() and os.access(standing, os.W_OK | os.X_OK)):
        raise StorageError(f"--output {folder}: {standing} is no folder that can be written to; give another one")


def show_report(benchmark: Benchmark, files: Sequence[Path]) -> None:
    """Writes the table, what has to be known, and the paths to stdout."""
    console = report_console(_WIDTH)
    console.print(benchmark_table(benchmark))
    where = f"{benchmark.machine['processor']}, {benchmark.machine['cores']} cores"
    data = benchmark.data
    scored = "" if data is None else f"; scores on {data['images']} images, {data['persons']} persons"
    turns = f"x: times of {benchmark.reference}; medians of {benchmark.settings.rounds} rounds, taken in turns"
    console.print(Text(f"{turns}; {where}{scored}"), soft_wrap=True)
    for note in benchmark.notes:
        console.print(Text(note, style="yellow"), soft_wrap=True)
    for file in files:
        console.print(Text(f"written: {file}"), soft_wrap=True)


def benchmark_table(benchmark: Benchmark) -> Table:
    """One line for each file and setting; a dash where there is nothing to say."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("model", overflow="fold", min_width=16)
    table.add_column("weights", no_wrap=True)
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    before = ""
    for row in benchmark.rows:
        if before and row.model != before:
            table.add_section()
        before = row.model
        weights = Text(row.weights, style=_STYLES.get(row.weights, ""))
        table.add_row(Text(row.model), weights, *(show(row) for show in _COLUMNS.values()))
    return table


def _number(name: str, form: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        value: Any = getattr(row, name)
        return "-" if value is None else format(value, form)

    return show


_COLUMNS: Final[dict[str, Callable[[Row], str]]] = {
    "image": lambda row: shown_size(row.size),
    "rois": _number("rois", "d"),
    "threads": _number("threads", "d"),
    "on": lambda row: row.provider,
    "ms": _number("median_ms", ".1f"),
    "p95": _number("p95_ms", ".1f"),
    "CPU ms": _number("cpu_ms", ".1f"),
    "x": _number("ratio", ".2f"),
    "memory MiB": _number("memory_mib", ".0f"),
    "file MiB": _number("file_mib", ".1f"),
    "mIoU": _number("miou", ".4f"),
    "person IoU": _number("person_iou", ".4f"),
    "AP": _number("AP", ".4f"),
}
"""Title -> how it is written."""
