"""How a sweep came out: its files, and its table in the terminal, best first, with what to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from human_edge_detection.console import report_console
from human_edge_detection.runner.comparison.table import Row
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.sweep.search_space import label
from human_edge_detection.runner.sweep.sweep import Entry, Sweep, best, grid_entries, grid_rows, write_best, write_sweep


@dataclass(frozen=True)
class SweepReport:
    """How the combinations of a sweep compare.

    Attributes:
        sweep: What was swept, and what the scores were measured on.
        entries: One for each combination, or each trial of a search.
        files: Where that was written.
        best_files: Config files of the best; none for a grid that was scored on the validation data.
    """

    sweep: Sweep
    entries: tuple[Entry, ...]
    files: tuple[Path, ...]
    best_files: tuple[Path, ...]


def report_grid(sweep: Sweep, runs: Sequence[PlannedRun], compared: Sequence[Row]) -> SweepReport:
    """Writes how the runs of a grid compare and, where they were scored on a tuning split, the best config.

    Args:
        sweep: The grid.
        runs: Its runs.
        compared: The rows of the comparison.

    Raises:
        StorageError: The files cannot be written.
    """
    rows = grid_rows(sweep, runs, compared)
    entries = grid_entries(sweep, rows)
    files = write_sweep(sweep, rows)
    best_files = []
    for experiment in sweep.request.names if sweep.split is not None else ():
        chosen = best([entry for entry in entries if entry.title == experiment])
        if chosen is not None:
            best_files.append(write_best(sweep, experiment, chosen.values))
    return SweepReport(sweep, tuple(entries), tuple(files), tuple(best_files))


def report_search(sweep: Sweep, entries: Sequence[Entry]) -> SweepReport:
    """Writes the trials of a search, and its best config.

    Raises:
        StorageError: The files cannot be written.
    """
    rows: list[Row] = [
        {
            "trial": entry.title,
            "runs": list(entry.runs),
            **entry.values,
            "status": entry.status,
            "score": entry.score,
            "error": entry.error,
        }
        for entry in entries
    ]
    files, chosen = write_sweep(sweep, rows), best(entries)
    best_files = [] if chosen is None else [write_best(sweep, sweep.request.names[0], chosen.values)]
    return SweepReport(sweep, tuple(entries), tuple(files), tuple(best_files))


def show_sweep(report: SweepReport) -> None:
    """Writes the table, what the scores were measured on, the paths, and how to train the best to stdout."""
    sweep = report.sweep
    console = report_console()
    console.print(
        Text(f"sweep of {', '.join(map(str, sweep.axes))}; scores are from {sweep.scored_on}"), soft_wrap=True
    )
    console.print(sweep_table(sweep, report.entries))
    for entry in report.entries:
        if entry.error:
            console.print(Text(f"{entry.title}: {entry.error}", style="red"), soft_wrap=True)
    for file in (*report.files, *report.best_files):
        console.print(Text(f"written: {file.resolve()}"), soft_wrap=True)
    for file in report.best_files:
        console.print(Text(f"train the best on all data: run_experiments.py --config_file {file}"), soft_wrap=True)
    if sweep.split is None:
        console.print(
            Text("chosen on these very data, the best looks better than it is; --tuning_split keeps them clean"),
            soft_wrap=True,
        )


def sweep_table(sweep: Sweep, entries: Sequence[Entry]) -> Table:
    """One line for each entry, the highest score first, those without a score last."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", overflow="fold")
    for axis in sweep.axes:
        table.add_column(axis.path.rpartition(".")[2], justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for title in ("score", "spread"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in sorted(entries, key=lambda entry: -1.0 if entry.score is None else entry.score, reverse=True):
        values = [Text(_shown(entry.values[axis.path])) for axis in sweep.axes]
        table.add_row(Text(entry.title), *values, Text(entry.status), _number(entry.score), _number(entry.spread))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else label(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
