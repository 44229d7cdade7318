"""``hed train`` (``train_advanced.py``): one experiment, started or continued."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from human_edge_detection.cli.arguments.experiment import add_run_arguments, one_run, show_configs
from human_edge_detection.errors import FollowingError
from human_edge_detection.log import setup_logging
from human_edge_detection.signals import exit_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``."""
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="PATH|auto",
        help="continue this run folder or checkpoint; auto (default): continue where the same command stopped",
    )
    parser.add_argument("--export_onnx", action="store_true", help="export the best weights in the end and check them")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains; returns 0 when the run is finished, now or earlier."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.api.training import train
    from human_edge_detection.threads import choose_waiting

    choose_waiting()
    resume = None if args.resume == "auto" else args.resume
    result = train(**one_run(args), resume=resume, export_onnx=args.export_onnx)
    miou = result.metrics.get("miou")
    score = "" if miou is None else f", val mIoU {miou:.4f}"
    folder = Path(result.best_checkpoint).parents[1]
    sys.stdout.write(f"finished: {folder} (best epoch {result.best_epoch}{score})\n")
    return 0


def follow() -> int:
    """In a process that is not the first of its run: takes part, and leaves it to that one to say anything."""
    setup_logging(level=logging.ERROR)
    from human_edge_detection.threads import choose_waiting

    choose_waiting()
    from human_edge_detection.engine.session.execute import execute_following

    try:
        execute_following()
    except FollowingError:
        return 1
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    return 0
