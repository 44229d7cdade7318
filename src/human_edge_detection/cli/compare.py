"""``hed compare``: rebuild the comparison of all runs, or compare some of them pair by pair."""

from __future__ import annotations

import argparse
from pathlib import Path

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
    for flag in ("against", "output"):
        if getattr(args, flag) is not None:
            raise ConfigError(f"--{flag} {getattr(args, flag)}: compare what? name at least one RUN")
    from human_edge_detection.runner.comparison.table import write_comparison
    from human_edge_detection.runner.execution.report import show_report
    from human_edge_detection.runs.paths import list_runs

    if not args.output_dir.is_dir():
        raise ConfigError(f"--output_dir: no such folder: {args.output_dir}")
    if not list_runs(args.output_dir):
        raise ConfigError(f"--output_dir {args.output_dir}: holds no runs; train some with run_experiments.py")
    rows, files = write_comparison(args.output_dir)
    show_report(rows, files, args.output_dir)
    return 0


def _compare_runs(args: argparse.Namespace) -> int:
    from human_edge_detection.runner.comparison.caveats import notes_on
    from human_edge_detection.runner.comparison.paired import compare_methods
    from human_edge_detection.runner.comparison.paired_figures import draw_figures
    from human_edge_detection.runner.comparison.paired_report import show_paired_report, write_report
    from human_edge_detection.runner.comparison.runs_by_seed import find_method, report_folder

    found = (find_method(given, args.output_dir) for given in args.runs)
    methods = list({method.name: method for method in found}.values())
    control = None if args.against is None else find_method(args.against, args.output_dir)
    comparison = compare_methods(methods, control, notes_on(methods, control))
    figures = draw_figures(comparison, methods, control)
    files = write_report(comparison, figures, args.output or report_folder(methods[0]))
    show_paired_report(comparison, files)
    return 0
