"""Runs as lines or as a table: name, state, epoch, best mIoU, time left; errors below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from human_edge_detection.runner.watching.glance import BatchGlance, Glance, counts
from human_edge_detection.wording import duration, printable

if TYPE_CHECKING:
    from rich.table import Table

TITLES: Final = ("run", "state", "epoch", "val mIoU", "left")
_STYLES: Final = {
    "finished": "green",
    "running": "cyan",
    "starting": "cyan",
    "waiting": "dim",
    "not started": "dim",
    "skipped": "yellow",
    "interrupted": "yellow",
    "killed": "yellow",
}


def heading(batch: BatchGlance) -> str:
    """``experiments: 2 of 5 finished, 1 running; about 1h20m left; batch of process 7 on host since ...``."""
    left = batch.seconds_left
    parts = [
        counts(batch.runs),
        *([f"about {duration(left)} left"] if left is not None else []),
        *([f"batch of {batch.holder}"] if batch.holder is not None else []),
    ]
    return printable(f"{batch.folder}: {'; '.join(parts)}")


def row(run: Glance) -> tuple[str, str, str, str, str]:
    """The cells of a run, in the order of :data:`TITLES`."""
    return (
        printable(run.name),
        run.state,
        "-" if run.epochs is None else f"{run.epoch or 0}/{run.epochs}",
        "-" if run.miou is None else f"{run.miou:.4f}",
        "-" if run.seconds_left is None else duration(run.seconds_left),
    )


def error_lines(runs: Iterable[Glance]) -> list[str]:
    """A line for each run that says what went wrong."""
    return [printable(f"{run.name}: {run.state}: {run.error}") for run in runs if run.error is not None]


def plain_lines(batch: BatchGlance) -> list[str]:
    """All of ``batch`` as lines: for files, pipes and terminals without colours."""
    rows = [TITLES, *map(row, batch.runs)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return [heading(batch), *(f"  {line}" for line in lines), *error_lines(batch.runs)]


def table(runs: Sequence[Glance]) -> Table:
    """``runs`` for a terminal."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    shown.add_column(TITLES[0], overflow="fold", min_width=21)
    for title in TITLES[1:]:
        shown.add_column(title, no_wrap=True, justify="left" if title == "state" else "right")
    for run in runs:
        name, state, *numbers = row(run)
        shown.add_row(Text(name), Text(state, style=_STYLES.get(state, "red")), *numbers)
    return shown
