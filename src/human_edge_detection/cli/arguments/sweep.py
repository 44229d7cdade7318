"""The flags of a sweep."""

from __future__ import annotations

import argparse

from human_edge_detection.cli.arguments.experiment import text_argument


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of a sweep."""
    group = parser.add_argument_group("sweep")
    group.add_argument(
        "--sweep",
        type=text_argument,
        dest="sweeps",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUES",
        help="one run for each value, a,b,c, and for each combination when repeated; with --trials also a range, "
        "low..high (of whole numbers when both are) or low..high:log",
    )
    group.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="search the sweep with Optuna, N trials in all, scored on a tuning split; those that fall behind are "
        "stopped; the same command with a larger N goes on",
    )
    group.add_argument(
        "--tuning_split",
        action="store_true",
        help="hold out a fifth of the training images and score a grid on it, not on the validation data",
    )
