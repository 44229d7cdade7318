"""``hed compare``: rebuild the comparison of all runs, or compare some of them pair by pair."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from human_edge_detection.cli.arguments.experiment import output_folder, text_argument
from human_edge_detection.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed compare``."""
    parser.add_argument(
        "runs",
        nargs="*",
        type=text_argument,
        metavar="RUN",
        help="a run folder, or a name below --output_dir, with one seed or several; none: rebuild the comparison "
        "of all runs",
    )
    parser.add_argument(
        "--against",
        type=text_argument,
        metavar="CONTROL",
        help="a run like RUN: shows each difference with its 95 %% interval, and whether it is more than chance",
    )
    parser.add_argument(
        "--split",
        choices=("val", "test"),
        help="images to compare on: val (default), on which the best epochs were chosen, or test; a RUN without scores "
        "on its test split is evaluated first",
    )
    parser.add_argument(
        "--output_dir",
        type=output_folder,
        default=Path("experiments"),
        metavar="DIR",
        help="folder of all runs (experiments)",
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        metavar="FOLDER",
        help="where the report on RUN goes (experiment_comparison, beside the folder of runs)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the comparison and shows it; returns 0."""
    if args.runs:
        return _compare_runs(args)
    for flag in ("against", "split", "output"):
        if getattr(args, flag) is not None:
            raise ConfigError(f"--{flag} {getattr(args, flag)}: compare what? name at least one RUN")
    from human_edge_detection.api.results import comparison_table
    from human_edge_detection.runner.execution.report import show_report

    show_report(*comparison_table(args.output_dir), args.output_dir)
    return 0


def _compare_runs(args: argparse.Namespace) -> int:
    from human_edge_detection.api.results import compare
    from human_edge_detection.runner.comparison.paired_report import show_paired_report

    split: Literal["val", "test"] = args.split or "val"
    report = compare(args.runs, against=args.against, split=split, output_dir=args.output_dir, output=args.output)
    show_paired_report(*report)
    return 0
