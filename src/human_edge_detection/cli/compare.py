"""``hed compare``: rebuild the comparison from the run folders, and show it."""

from __future__ import annotations

import argparse
from pathlib import Path

from human_edge_detection.cli.arguments import output_folder
from human_edge_detection.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed compare``."""
    parser.add_argument(
        "--output_dir",
        type=output_folder,
        default=Path("experiments"),
        metavar="DIR",
        help="folder of all runs (experiments)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the comparison files beside the folder of runs; returns 0."""
    from human_edge_detection.experiments.paths import list_runs
    from human_edge_detection.runner.compare import write_comparison
    from human_edge_detection.runner.report import show_report

    if not args.output_dir.is_dir():
        raise ConfigError(f"--output_dir: no such folder: {args.output_dir}")
    if not list_runs(args.output_dir):
        raise ConfigError(f"--output_dir {args.output_dir}: holds no runs; train some with run_experiments.py")
    rows, files = write_comparison(args.output_dir)
    show_report(rows, files, args.output_dir)
    return 0
