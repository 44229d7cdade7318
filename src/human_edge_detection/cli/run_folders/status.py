"""``hed status``: where all batches and runs below a folder stand."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from human_edge_detection.cli.arguments.experiment import path_argument
from human_edge_detection.errors import ConfigError
from human_edge_detection.log import is_for_people

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from human_edge_detection.runner.watching.glance import BatchGlance

_SECONDS: Final = 2.0
"""Between two looks."""
_MOST_ROWS: Final = 100
"""Runs of a folder that a terminal shows; what goes into a file or a pipe has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed status``."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=path_argument,
        default=Path("experiments"),
        metavar="DIR",
        help="a folder of runs, one that holds several, or a run (default: %(default)s)",
    )
    parser.add_argument("--watch", action="store_true", help="look again every two seconds, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="write JSON and nothing else to the standard output")


def run(args: argparse.Namespace) -> int:
    """Shows it; returns 0.

    Raises:
        ConfigError: There is no such folder, or it cannot be read.
    """
    if args.watch and args.json:
        raise ConfigError("--watch and --json: JSON is written once; leave one out")
    batches = _look(args.folder)
    if args.json:
        sys.stdout.write(json.dumps([batch.to_json() for batch in batches], indent=2, allow_nan=False) + "\n")
    elif args.watch:
        _watch(args.folder)
    else:
        _show(batches, args.folder)
    return 0


def _look(folder: Path) -> list[BatchGlance]:
    from human_edge_detection.runner.watching.glance import look

    try:
        return look(folder)
    except OSError as error:
        problem = error.strerror or "cannot be read"
        raise ConfigError(
            f"{folder}: {problem}; give the folder that --output_dir of the training named, or one above it"
        ) from error


def _show(batches: Sequence[BatchGlance], folder: Path) -> None:
    if is_for_people(sys.stdout):
        from human_edge_detection.console import report_console

        report_console().print(_view(batches, folder))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(batches, folder)))


def _watch(folder: Path) -> None:
    """Until Ctrl-C; where the output is no terminal, a line is written when it is another than before."""
    try:
        if is_for_people(sys.stdout):
            from rich.live import Live

            from human_edge_detection.console import report_console

            with Live(_view(_look(folder), folder), console=report_console(), auto_refresh=False) as live:
                while True:
                    time.sleep(_SECONDS)
                    live.update(_view(_look(folder), folder), refresh=True)
        before: set[str] = set()
        while True:
            lines = _lines(_look(folder), folder)
            sys.stdout.write("".join(f"{line}\n" for line in lines if line not in before))
            sys.stdout.flush()
            before = {*lines}
            time.sleep(_SECONDS)
    except KeyboardInterrupt:  # how it ends
        return


def _lines(batches: Sequence[BatchGlance], folder: Path) -> list[str]:
    from human_edge_detection.runner.watching.table import plain_lines

    return [line for batch in batches for line in plain_lines(batch)] or [_nothing(folder)]


def _view(batches: Sequence[BatchGlance], folder: Path) -> Group:
    from rich.console import Group
    from rich.text import Text

    from human_edge_detection.runner.watching.glance import chosen
    from human_edge_detection.runner.watching.table import error_lines, heading, table

    parts: list[Text | Table] = []
    for batch in batches:
        runs = chosen(batch.runs, _MOST_ROWS)
        errors = (Text(line, style="red") for line in error_lines(runs))
        parts += [Text(heading(batch), style="bold"), table(runs), *errors]
        if len(runs) < len(batch.runs):
            parts.append(Text(f"and {len(batch.runs) - len(runs)} more: hed status {batch.folder} | less shows all"))
    return Group(*(parts or [Text(_nothing(folder))]))


def _nothing(folder: Path) -> str:
    return f"{folder}: no run in it, nor in the folders below"
