"""``hed run`` (``run_experiments.py``): train experiments and what they depend on, export, compare."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.experiment import (
    add_experiment_arguments,
    check_init_from,
    check_run_name,
    flag_values,
    show_configs,
)
from human_edge_detection.cli.arguments.sweep import add_sweep_arguments, read_sweep
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.runner.execution.outcome import Outcome
    from human_edge_detection.runner.execution.plan import BatchRequest, PlannedRun
    from human_edge_detection.runner.execution.retry import Options
    from human_edge_detection.runner.sweep.sweep import Sweep

logger = logging.getLogger(__name__)


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
    add_sweep_arguments(parser)
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the batch; returns 0 when every run finished, 1 when one did not.

    Raises:
        KeyboardInterrupt: Interrupted (``Terminated`` by a scheduler); what was trained is saved and compared.
    """
    if args.list_configs:
        return show_configs()
    from human_edge_detection.runner.execution.dry_run import describe_additions, describe_plan
    from human_edge_detection.runner.execution.ownership import batch_claim, delete_for_restart, planning_claim
    from human_edge_detection.runner.execution.plan import plan

    request = _request(args)
    sweep = read_sweep(request, args)
    asked, competing = (request, request) if sweep is None else (sweep.request, sweep.competing)
    _checked_plan(asked, args)  # here too, so that nothing is written when it is refused
    if args.dry_run:
        runs = plan(competing)
        return _show([*_about(sweep), *describe_additions(runs), *describe_plan(runs, args.output_dir)])
    with batch_claim(args.output_dir, join=args.join):
        with planning_claim(args.output_dir):
            if sweep is not None and sweep.split is not None:
                sweep.split.write()
            runs = _checked_plan(competing, args)
            additions = describe_additions(runs)
            delete_for_restart(runs)
        _show(additions)
        if sweep is not None and sweep.trials is not None:
            return _search(sweep, args)
        return _execute(runs, args, sweep)


def _about(sweep: Sweep | None) -> list[str]:
    if sweep is None:
        return []
    lines = [f"sweep of {', '.join(map(str, sweep.axes))}; scores are from {sweep.scored_on}"]
    return lines if sweep.trials is None else [*lines, f"one of {sweep.trials} trials could be:"]


def _show(lines: Sequence[str]) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return 0


def _request(args: argparse.Namespace) -> BatchRequest:
    from human_edge_detection.experiments.overrides import base_name, collect
    from human_edge_detection.experiments.registry import expand
    from human_edge_detection.runner.execution.plan import BatchRequest

    _check_arguments(args)
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


def _check_arguments(args: argparse.Namespace) -> None:
    if args.seeds is not None and args.seed is not None:
        raise ConfigError("--seed and --seeds both name seeds; give one")
    if args.restart and args.skip_training:
        raise ConfigError("--restart trains anew and --skip_training trains nothing; give one")
    if args.restart and args.join:
        raise ConfigError("--restart would delete what the batch has trained that --join works beside; give one")
    if args.retries < 0:
        raise ConfigError(f"--retries {args.retries}: expected 0 or more")
    if not 0.0 <= args.hang_minutes < math.inf:
        raise ConfigError(f"--hang_minutes {args.hang_minutes:g}: expected minutes, or 0 for never")


def _checked_plan(request: BatchRequest, args: argparse.Namespace) -> tuple[PlannedRun, ...]:
    from human_edge_detection.runner.execution.free_space import check_free_space
    from human_edge_detection.runner.execution.plan import check_plan, plan
    from human_edge_detection.runner.execution.staleness import check_teachers

    runs = plan(request)
    check_plan(runs, args.output_dir)
    check_teachers(runs)
    if not args.skip_training:
        check_free_space(runs, args.output_dir, export_onnx=args.export_onnx)
    return runs


def _options(args: argparse.Namespace) -> Options:
    from human_edge_detection.runner.execution.retry import Options

    return Options(
        output_dir=args.output_dir,
        export_onnx=args.export_onnx,
        skip_training=args.skip_training,
        fail_fast=args.fail_fast,
        retries=args.retries,
        hang_minutes=args.hang_minutes,
    )


def _execute(runs: tuple[PlannedRun, ...], args: argparse.Namespace, sweep: Sweep | None) -> int:
    from human_edge_detection.runner.comparison.table import write_comparison
    from human_edge_detection.runner.execution.report import show_report
    from human_edge_detection.runner.execution.sample_data import make_sample_data
    from human_edge_detection.runner.execution.supervise import supervise
    from human_edge_detection.runner.sweep.sweep_report import report_grid

    if not args.skip_training:
        make_sample_data(runs, args.output_dir)
    outcomes, interrupt = supervise(runs, _options(args))
    rows, files = write_comparison(args.output_dir, extra=_not_in_folders(outcomes))
    show_report(rows, files, args.output_dir)
    if sweep is not None:
        report_grid(sweep, runs, rows)
    if interrupt is not None:
        if args.restart:
            logger.warning("to continue, leave out --restart: it would delete what was trained now")
        raise interrupt  # The report is out; main says how to continue.
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _search(sweep: Sweep, args: argparse.Namespace) -> int:
    from human_edge_detection.runner.comparison.table import write_comparison
    from human_edge_detection.runner.execution.report import show_report
    from human_edge_detection.runner.sweep.search import pruned_runs, search
    from human_edge_detection.runner.sweep.sweep_report import report_search

    entries, problem, interrupt = search(sweep, _options(args))
    pruned = dict.fromkeys(pruned_runs(entries, args.output_dir), ("pruned", None))
    rows, files = write_comparison(args.output_dir, extra=pruned)
    show_report(rows, files, args.output_dir)
    report_search(sweep, entries)
    if interrupt is not None:
        raise interrupt
    if problem is not None:
        logger.error("the search stopped: %s; the same command goes on with it", problem)
    return 0 if problem is None and any(entry.score is not None for entry in entries) else 1


def _not_in_folders(outcomes: tuple[Outcome, ...]) -> dict[str, tuple[str, str | None]]:
    return {outcome.name: (outcome.state, outcome.error) for outcome in outcomes if not outcome.good}
