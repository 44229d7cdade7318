"""A paired comparison as files and as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from human_edge_detection.console import report_console
from human_edge_detection.files.write import delete, write_atomically, write_json
from human_edge_detection.runner.comparison.cost import Effort
from human_edge_detection.runner.comparison.paired import Comparison, Difference, Line, Spread
from human_edge_detection.runner.comparison.runs_by_seed import Split
from human_edge_detection.runner.comparison.slices import ALL
from human_edge_detection.runner.comparison.table import Row, to_csv

WIDTH: Final = 130
"""Columns when the output is no terminal."""
SPLIT_IMAGES: Final[dict[Split, str]] = {"val": "validation images", "test": "test images"}
FIGURES: Final = ("bars.png", "curves.png", "gains.png")
_SHOWN_OF_SLICES: Final = ("miou", "iou_target")
_STYLES: Final = {"better": "green", "worse": "red"}


def write_report(comparison: Comparison, figures: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Writes comparison.json, comparison.csv and the figures into ``folder``, in place of an earlier report.

    Args:
        comparison: What to report.
        figures: PNG by file name, of ``FIGURES``.
        folder: Made when it is not there.

    Returns:
        The files.

    Raises:
        StorageError: They cannot be written.
    """
    files = [folder / name for name in ("comparison.json", "comparison.csv", *figures)]
    write_json(files[0], comparison.to_json())
    write_atomically(files[1], to_csv([_row(line, comparison.split) for line in comparison.lines]).encode())
    for name in FIGURES:
        if name in figures:
            write_atomically(folder / name, figures[name])
        else:
            delete(folder / name)  # of an earlier report
    return files


def show_paired_report(comparison: Comparison, files: Sequence[Path]) -> None:
    """Writes the tables, what has to be known, and the paths to stdout."""
    console = report_console(WIDTH)
    console.print(summary_table(comparison))
    for method in dict.fromkeys(line.method for line in comparison.lines):
        console.print(score_table(comparison, method))
    for note in comparison.notes:
        console.print(Text(str(note), style="bold red" if note.deviation else "yellow"), soft_wrap=True)
    for file in files:
        console.print(Text(f"written: {file}"), soft_wrap=True)


def summary_table(comparison: Comparison) -> Table:
    """What each method scores by its main metric, and what it took."""
    first = [line for line in comparison.lines if line.metric == comparison.lines[0].metric and line.slice == ALL.name]
    scores = {line.method: (line.score, line.teacher_share) for line in first}
    if comparison.control and first[0].difference:
        scores[comparison.control] = (first[0].difference.control, first[0].difference.control_teacher_share)
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("method", overflow="fold", min_width=16)
    named = f"{comparison.split} {first[0].metric}"
    titles = (named, "of teacher", "seeds", "training s", "images seen", "x control", "val in control's time")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for effort in comparison.efforts:
        score, share = scores[effort.method]
        table.add_row(Text(effort.method), _spread(score), _share(share), *_effort_cells(effort))
    return table


def score_table(comparison: Comparison, method: str) -> Table:
    """The scores of one method, and its differences to the control: all metrics, then the slices."""
    against = f" against {comparison.control}" if comparison.control else ""
    title = Text(f"{method}{against}, {comparison.images} {SPLIT_IMAGES[comparison.split]}")
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False, title=title, title_justify="left")
    table.add_column("metric", no_wrap=True)
    paired = ("control", "difference", "95 % interval", "sign p") if comparison.control else ()
    for column in ("method", *paired):
        table.add_column(column, justify="right", no_wrap=True)
    if paired:
        table.add_column("verdict", overflow="fold")
    for line in comparison.lines:
        if line.method == method and (line.slice == ALL.name or line.metric in _SHOWN_OF_SLICES):
            table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> list[str | Text]:
    name = line.metric if line.slice == ALL.name else f"{line.metric}, {line.slice}"
    cells: list[str | Text] = [name, _spread(line.score)]
    found = line.difference
    if found is not None:
        word = Text(found.verdict, style=_STYLES.get(found.verdict, "yellow"))
        cells += [_spread(found.control), f"{found.mean:+.4f}", _interval(found), _p(found.sign_p), word]
    return cells


def _effort_cells(effort: Effort) -> list[str]:
    return [
        " ".join(map(str, effort.seeds)),
        f"{effort.seconds:.0f}",
        "-" if effort.images is None else str(effort.images),
        "-" if effort.times_control is None else f"{effort.times_control:.2f}",
        "-" if effort.score_at_control_time is None else f"{effort.score_at_control_time:.4f}",
    ]


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.4f}" if spread.sd is None else f"{spread.mean:.4f} ± {spread.sd:.4f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _interval(found: Difference) -> str:
    return "-" if found.low is None or found.high is None else f"{found.low:+.4f} {found.high:+.4f}"


def _p(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _row(line: Line, split: Split) -> Row:
    named = {"method": line.method, "split": split, "slice": line.slice, "metric": line.metric}
    row: dict[str, Any] = named | asdict(line.score)
    row["teacher_share"] = line.teacher_share
    if line.difference is not None:
        found = asdict(line.difference)
        control = found.pop("control")
        row |= {f"control_{name}": value for name, value in control.items()}
        row |= {f"difference_{name}" if name in ("mean", "sd") else name: value for name, value in found.items()}
    return row
