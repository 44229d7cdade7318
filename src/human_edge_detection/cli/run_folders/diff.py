"""``hed diff RUN_A RUN_B``: config, data, metrics and environment of two runs, only what differs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from human_edge_detection.cli.arguments.experiment import path_argument, text_argument
from human_edge_detection.errors import ConfigError
from human_edge_detection.files.strict_json import strict_json

if TYPE_CHECKING:
    from rich.table import Table

    from human_edge_detection.experiments.difference import Difference
    from human_edge_detection.runner.comparison.run_difference import RunDifference
    from human_edge_detection.runner.comparison.table import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed diff``."""
    for name in ("one", "other"):
        parser.add_argument(
            name, type=text_argument, metavar="RUN", help="a run folder, or a name below --output_dir; one seed"
        )
    parser.add_argument(
        "--output_dir", type=path_argument, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="write JSON and nothing else to the standard output")


def run(args: argparse.Namespace) -> int:
    """Shows what differs; returns 0, also when something does.

    Raises:
        ConfigError: There is no such run, or it has several seeds.
        CheckpointError: A file of a run is damaged.
    """
    from human_edge_detection.runner.comparison.run_difference import difference_of_runs

    found = difference_of_runs(*(_record(given, args.output_dir) for given in (args.one, args.other)))
    if args.json:
        sys.stdout.write(strict_json(found.to_json(), indent=2) + "\n")
    else:
        _show(found)
    return 0


def _record(given: str, output_dir: Path) -> Record:
    from human_edge_detection.api.results import load_run

    records = load_run(given, output_dir=output_dir)
    if len(records) > 1:
        names = ", ".join(record.name for record in records)
        raise ConfigError(f"{given}: {len(records)} runs of several seeds; name one of {names}")
    return records[0]


def _show(found: RunDifference) -> None:
    from rich.text import Text

    from human_edge_detection.console import report_console

    console = report_console()
    for title, changed in found.sections.items():
        if changed:
            console.print(Text(title, style="bold"))
            console.print(_table(found, changed))
    same = [title for title, changed in found.sections.items() if not changed]
    if same:
        console.print(Text(f"the same in {found.one} and {found.other}: {', '.join(same)}"), soft_wrap=True)


def _table(found: RunDifference, changed: Difference) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table("", found.one, found.other, "change", box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[3].justify = "right"
    for name, (old, new) in changed.items():
        table.add_row(*(Text(text) for text in (name, _shown(old), _shown(new), _change(old, new))))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _change(old: Any, new: Any) -> str:
    """The difference of two numbers that are measured."""
    return f"{new - old:+.4g}" if isinstance(old, float) and isinstance(new, float) else ""
