"""``hed run`` (``run_experiments.py``): train experiments and what they depend on, export, compare."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.backend import add_backend_arguments, given_settings
from human_edge_detection.cli.arguments.experiment import add_experiment_arguments, given_overrides, show_configs
from human_edge_detection.cli.arguments.sweep import add_sweep_arguments

if TYPE_CHECKING:
    from pathlib import Path

    from human_edge_detection.api.training import BatchArguments
    from human_edge_detection.runner.run_experiments import BatchResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed run``."""
    parser.add_argument(
        "--configs",
        "--config",
        "--config-name",
        nargs="+",
        default=[],
        metavar="NAME|FILE",
        help="experiments, groups, or YAML files based on an experiment, in any order",
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="one run of each experiment for each seed")
    parser.add_argument("--export_onnx", action="store_true", help="export each finished run and check it")
    parser.add_argument("--skip_training", action="store_true", help="export and compare what is finished")
    parser.add_argument("--restart", action="store_true", help="delete and retrain the named runs, not their teachers")
    parser.add_argument("--fail_fast", action="store_true", help="stop after the first failure")
    parser.add_argument("--dry_run", action="store_true", help="show each run's changes and command; write nothing")
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="PATH|auto",
        help="continue the one run of this folder or checkpoint; auto (default): all where the same command stopped",
    )
    parser.add_argument(
        "--join", action="store_true", help="work beside another batch in the same folder, on runs that nobody works on"
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=0,
        metavar="N",
        help="start a run that was killed, hung or failed again, up to N times, after 5 s, 10 s, ... 5 min; it resumes",
    )
    parser.add_argument(
        "--hang_minutes",
        type=float,
        default=60.0,
        metavar="X",
        help="stop a run that shows no sign of life for so long; 0: never (default: %(default)g)",
    )
    add_backend_arguments(parser)
    add_sweep_arguments(parser)
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the batch; returns 0 when every run finished, 1 when one did not.

    Raises:
        KeyboardInterrupt: Interrupted (``Terminated`` by a scheduler); what was trained is saved and compared.
    """
    if args.list_configs:
        return show_configs()
    from human_edge_detection.api.training import preview_experiments, run_experiments
    from human_edge_detection.runner.execution.report import show_lines

    arguments = _arguments(args)
    if args.dry_run:
        show_lines(preview_experiments(args.configs, **arguments))
        return 0
    result = run_experiments(args.configs, report=partial(_show, output_dir=args.output_dir), **arguments)
    return 0 if result.good else 1


def _arguments(args: argparse.Namespace) -> BatchArguments:
    return {
        "changes": given_overrides(args),
        "seeds": args.seeds,
        "output_dir": args.output_dir,
        "run_name": args.run_name,
        "resume": None if args.resume == "auto" else args.resume,
        "restart": args.restart,
        "export_onnx": args.export_onnx,
        "skip_training": args.skip_training,
        "fail_fast": args.fail_fast,
        "retries": args.retries,
        "hang_minutes": args.hang_minutes,
        "join": args.join,
        "jobs": args.jobs,
        "procs_per_run": args.procs_per_run,
        "gpus_per_run": args.gpus_per_run,
        "backend": args.backend,
        "address": args.address,
        "slurm": given_settings(args.slurm),
        "cores_per_run": args.cores_per_run,
        "sweep": args.sweeps,
        "trials": args.trials,
        "tuning_split": args.tuning_split,
    }


def _show(result: BatchResult, output_dir: Path) -> None:
    from human_edge_detection.runner.execution.report import page_line, show_lines, show_report
    from human_edge_detection.runner.sweep.sweep_report import show_sweep

    show_report(result.rows, result.files, output_dir)
    if result.sweep is not None:
        show_sweep(result.sweep)
    if result.page is not None:
        show_lines([page_line(result.page)])
