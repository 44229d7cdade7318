"""``hed train`` (``train_advanced.py``): one experiment, started or continued."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.experiment import add_run_arguments, run_request, show_configs

if TYPE_CHECKING:
    from human_edge_detection.runner.execution.plan import PlannedRun

logger = logging.getLogger(__name__)


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
    from human_edge_detection.runner.execution.dry_run import describe_additions
    from human_edge_detection.runner.execution.one_run import take_run
    from human_edge_detection.runs.checks import is_finished
    from human_edge_detection.runs.lookup.reservation import release, run_claim

    request = run_request(args, resume=None if args.resume == "auto" else Path(args.resume))
    run = take_run(request)
    for line in describe_additions([run]):
        logger.info("%s", line)
    if run.finished:
        return _finished_earlier(run)
    try:
        with run_claim(run.paths, advice="wait for it, or give another --run_name"):
            # Another process may have finished it since.
            again = run.resume is None and is_finished(run.paths)
            return _finished_earlier(run) if again else _train(run)
    except BaseException:
        # A run that never got to its first weights leaves nothing, unless a batch made its folder and reads its status.
        release(run.paths, with_status=request.resume is None)
        raise


def _finished_earlier(run: PlannedRun) -> int:
    sys.stdout.write(f"finished earlier: {run.paths.root}\n")
    return 0


def _train(run: PlannedRun) -> int:
    from human_edge_detection.engine.session.execute import execute_run
    from human_edge_detection.runs.paths import sample_data_dir

    config = run.full_config
    result = execute_run(
        config,
        run.paths,
        resume=run.resume,
        command=sys.argv,
        sample_root=sample_data_dir(run.output_dir, config.data),
    )
    miou = result.metrics.get("miou")
    score = "" if miou is None else f", mIoU {miou:.4f}"
    sys.stdout.write(f"finished: {run.paths.root} (best epoch {result.best_epoch}{score})\n")
    return 0
