"""``hed run`` (``run_experiments.py``): train experiments and what they depend on, export, compare."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments import (
    add_experiment_arguments,
    check_init_from,
    check_run_name,
    flag_values,
    show_configs,
)
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.runner.plan import BatchRequest, PlannedRun
    from human_edge_detection.runner.supervise import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed run``."""
    parser.add_argument("--configs", nargs="+", default=[], metavar="NAME", help="experiments or groups, any order")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="one run of each experiment for each seed")
    parser.add_argument("--export_onnx", action="store_true", help="export each finished run and check it")
    parser.add_argument("--skip_training", action="store_true", help="export and compare what is finished")
    parser.add_argument("--restart", action="store_true", help="delete and retrain the named runs, not their teachers")
    parser.add_argument("--fail_fast", action="store_true", help="stop after the first failure")
    parser.add_argument("--dry_run", action="store_true", help="show each run's changes and command; write nothing")
    parser.add_argument("--resume", choices=("auto",), default="auto", help="a batch always continues where it stopped")
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the batch; returns 0 when every run finished, 1 when one did not, 130 when interrupted."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.runner.dry_run import describe_additions, describe_plan
    from human_edge_detection.runner.plan import check_plan, plan

    runs = plan(_request(args))
    check_plan(runs, args.output_dir)
    lines = describe_additions(runs) + (describe_plan(runs, args.output_dir) if args.dry_run else [])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return 0 if args.dry_run else _execute(runs, args)


def _request(args: argparse.Namespace) -> BatchRequest:
    from human_edge_detection.experiments.overrides import base_name, collect
    from human_edge_detection.experiments.registry import expand
    from human_edge_detection.runner.plan import BatchRequest

    if args.seeds is not None and args.seed is not None:
        raise ConfigError("--seed and --seeds both name seeds; give one")
    if args.restart and args.skip_training:
        raise ConfigError("--restart trains anew and --skip_training trains nothing; give one")
    overrides = collect(config_file=args.config_file, sets=args.sets, flags=flag_values(args))
    names = expand(args.configs)
    if not names and overrides.base is None:
        raise ConfigError("no experiment named; give --configs NAME ... (--list_configs shows all)")
    if overrides.base is not None:
        names = [base_name(name, overrides) for name in names] or [overrides.base]
    return BatchRequest(
        names=tuple(names),
        output_dir=args.output_dir,
        overrides=overrides,
        config_file=args.config_file,
        seeds=None if args.seeds is None else tuple(dict.fromkeys(args.seeds)),
        run_name=check_run_name(args.run_name),
        init_from=check_init_from(args.init_from),
        restart=args.restart,
    )


def _execute(runs: tuple[PlannedRun, ...], args: argparse.Namespace) -> int:
    from human_edge_detection.runner.compare import write_comparison
    from human_edge_detection.runner.report import show_report
    from human_edge_detection.runner.supervise import Options, make_sample_data, supervise

    if not args.skip_training:
        make_sample_data(runs, args.output_dir)
    options = Options(args.output_dir, args.export_onnx, args.skip_training, args.fail_fast)
    outcomes = supervise(runs, options)
    rows, files = write_comparison(args.output_dir, extra=_not_in_folders(outcomes))
    show_report(rows, files, args.output_dir)
    if any(outcome.state == "interrupted" for outcome in outcomes):
        raise KeyboardInterrupt  # The report is out; main says how to continue.
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _not_in_folders(outcomes: tuple[Outcome, ...]) -> dict[str, tuple[str, str | None]]:
    return {outcome.name: (outcome.state, outcome.error) for outcome in outcomes if not outcome.good}
