"""``hed train`` (``train_advanced.py``): one experiment, started or continued."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from human_edge_detection.cli.arguments.experiment import (
    add_experiment_arguments,
    check_init_from,
    check_run_name,
    flag_values,
    show_configs,
)
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.runs.request import TrainingRequest

_LOCK_SECONDS: Final = 2.0
"""A batch that looks whether a run is taken holds its lock for a moment."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``."""
    parser.add_argument(
        "--config", metavar="NAME", help="experiment; default: rgb_hierarchical_unet_v2_distillation_b0_from_b3"
    )
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="PATH|auto",
        help="continue this run folder or checkpoint; auto (default): continue where the same command stopped",
    )
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains; returns 0 when the run is finished, now or earlier."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.files.lock import hold
    from human_edge_detection.runs.request import prepare

    if args.resume != "auto" and args.init_from is not None:
        raise ConfigError("--resume continues a run and --init_from starts one; give one of them")
    prepared = partial(
        prepare,
        config_name=args.config,
        config_file=args.config_file,
        sets=args.sets,
        flags=flag_values(args),
        output_dir=args.output_dir,
        run_name=check_run_name(args.run_name),
        resume=None if args.resume == "auto" else Path(args.resume),
        init_from=check_init_from(args.init_from),
    )
    request = prepared()
    if request.finished:
        return _finished_earlier(request)
    run = f"run {request.paths.root}"
    with hold(request.paths.lock, run, advice="wait for it, or give another --run_name", wait=_LOCK_SECONDS):
        request = prepared()  # another process may have finished it since
        return _finished_earlier(request) if request.finished else _train(request, args)


def _finished_earlier(request: TrainingRequest) -> int:
    sys.stdout.write(f"finished earlier: {request.paths.root}\n")
    return 0


def _train(request: TrainingRequest, args: argparse.Namespace) -> int:
    from human_edge_detection.engine.session.execute import execute_run
    from human_edge_detection.experiments.schema.experiment import SampleDataConfig
    from human_edge_detection.runs.paths import sample_data_dir

    sample = request.config.data.sample or SampleDataConfig()
    result = execute_run(
        request.config,
        request.paths,
        resume=request.resume,
        init_from=args.init_from,
        command=sys.argv,
        sample_root=sample_data_dir(args.output_dir, sample),
    )
    miou = result.metrics.get("miou")
    score = "" if miou is None else f", mIoU {miou:.4f}"
    sys.stdout.write(f"finished: {request.paths.root} (best epoch {result.best_epoch}{score})\n")
    return 0
