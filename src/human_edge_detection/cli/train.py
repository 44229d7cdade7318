"""``hed train`` (``train_advanced.py``): one experiment, started or continued."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from human_edge_detection.cli.arguments.experiment import add_run_arguments, run_request, show_configs

if TYPE_CHECKING:
    from human_edge_detection.runs.request import ResolvedRun

_LOCK_SECONDS: Final = 2.0
"""A batch that looks whether a run is taken holds its lock for a moment."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``."""
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="PATH|auto",
        help="continue this run folder or checkpoint; auto (default): continue where the same command stopped",
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains; returns 0 when the run is finished, now or earlier."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.files.lock import hold
    from human_edge_detection.runs.request import resolve_run

    request = run_request(args, resume=None if args.resume == "auto" else Path(args.resume))
    run = resolve_run(request)
    if run.finished:
        return _finished_earlier(run)
    what = f"run {run.paths.root}"
    with hold(run.paths.lock, what, advice="wait for it, or give another --run_name", wait=_LOCK_SECONDS):
        run = resolve_run(request)  # another process may have finished it since
        return _finished_earlier(run) if run.finished else _train(run, args.init_from)


def _finished_earlier(run: ResolvedRun) -> int:
    sys.stdout.write(f"finished earlier: {run.paths.root}\n")
    return 0


def _train(run: ResolvedRun, init_from: Path | None) -> int:
    from human_edge_detection.engine.session.execute import execute_run

    result = execute_run(
        run.config,
        run.paths,
        resume=run.resume,
        init_from=init_from,
        command=sys.argv,
        sample_root=run.sample_root,
    )
    miou = result.metrics.get("miou")
    score = "" if miou is None else f", mIoU {miou:.4f}"
    sys.stdout.write(f"finished: {run.paths.root} (best epoch {result.best_epoch}{score})\n")
    return 0
