"""``hed report``: all runs of a folder as one HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from human_edge_detection.cli.arguments.experiment import output_file, output_folder
from human_edge_detection.wording import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed report``."""
    parser.add_argument(
        "output_dir",
        nargs="?",
        type=output_folder,
        default=Path("experiments"),
        metavar="DIR",
        help="folder of all runs (experiments)",
    )
    parser.add_argument("--output", type=output_file, metavar="FILE", help="the page, .html (report.html in DIR)")
    parser.add_argument(
        "--without_images", action="store_true", help="no image of the data comes into it, for whoever may not see them"
    )
    parser.add_argument(
        "--max_megabytes", type=float, metavar="X", help="that images may take, the others are left out (12)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the page and says where it is; returns 0."""
    from human_edge_detection.api.results import report
    from human_edge_detection.runner.execution.report import page_line

    page = report(args.output_dir, output=args.output, images=not args.without_images, max_megabytes=args.max_megabytes)
    sys.stdout.write(f"{printable(page_line(page))}\n")
    return 0
