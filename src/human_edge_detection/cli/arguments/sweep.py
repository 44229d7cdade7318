"""The flags of a sweep, and the sweep that they ask for."""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.experiment import text_argument
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.runner.execution.plan import BatchRequest
    from human_edge_detection.runner.sweep.sweep import Sweep


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
        help="hold out a fifth of the training photographs and score a grid on it, not on the validation data",
    )


def read_sweep(request: BatchRequest, args: argparse.Namespace) -> Sweep | None:
    """The sweep that ``args`` ask for; None when they ask for none.

    Raises:
        ConfigError: It cannot be done.
    """
    _check(args, request)
    if not args.sweeps:
        return None
    from human_edge_detection.runner.sweep.search_space import parse_axes
    from human_edge_detection.runner.sweep.sweep import make_sweep

    axes = parse_axes(args.sweeps, request.overrides, searched=args.trials is not None)
    if request.seeds is not None and any(axis.path == "training.seed" for axis in axes):
        raise ConfigError("--seeds and --sweep training.seed both name seeds; give one")
    return make_sweep(request, axes, trials=args.trials, tuning=args.tuning_split or args.trials is not None)


def _check(args: argparse.Namespace, request: BatchRequest) -> None:
    if not args.sweeps:
        for flag, given in (("--trials", args.trials is not None), ("--tuning_split", args.tuning_split)):
            if given:
                raise ConfigError(f"{flag}: nothing to choose among; give --sweep SECTION.FIELD=a,b,c, too")
        return
    if args.run_name is not None:
        raise ConfigError(f"--run_name {args.run_name}: names one folder, and --sweep makes many runs")
    if args.trials is not None:
        _check_search(args, request)


def _check_search(args: argparse.Namespace, request: BatchRequest) -> None:
    if args.trials < 1:
        raise ConfigError(f"--trials {args.trials}: expected 1 or more")
    if len(request.names) != 1:
        raise ConfigError(f"--trials searches for one experiment, and {len(request.names)} are named; give one")
    for flag in ("restart", "skip_training", "export_onnx"):
        if getattr(args, flag):
            raise ConfigError(f"--{flag}: not in a search; search first, then run its best_config.yaml")
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("--trials needs Optuna, which is not installed; uv sync --extra search")
