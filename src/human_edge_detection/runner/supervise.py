"""Trains a plan, one child process a run, and says of each how it ended. The run folder decides, not the exit code."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.checks import is_finished
from human_edge_detection.experiments.paths import RunPaths, sample_data_dir
from human_edge_detection.experiments.result import ParityReport, RunStatus, read_section
from human_edge_detection.runner.launch import Ended, export_command, launch
from human_edge_detection.runner.plan import PlannedRun, train_command

logger = logging.getLogger(__name__)

Ending = Literal["finished", "failed", "killed", "interrupted", "skipped"]
Launch = Callable[[Sequence[str]], Ended]


@dataclass(frozen=True)
class Outcome:
    """How one run of a batch ended.

    Attributes:
        name: Folder below the output folder.
        state: How.
        error: Why it did not finish, or why its export failed.
    """

    name: str
    state: Ending
    error: str | None = None

    @property
    def good(self) -> bool:
        """Finished, and exported when that was asked for."""
        return self.state == "finished" and self.error is None


@dataclass(frozen=True)
class Options:
    """How a batch is run.

    Attributes:
        output_dir: Folder of all runs.
        export_onnx: Export every finished run.
        skip_training: Use the runs that are finished; train nothing.
        fail_fast: Stop after the first run that does not finish.
    """

    output_dir: Path
    export_onnx: bool = False
    skip_training: bool = False
    fail_fast: bool = False


def supervise(plan: Sequence[PlannedRun], options: Options, *, start: Launch = launch) -> tuple[Outcome, ...]:
    """Trains the runs of ``plan`` in order, each after what it requires.

    Args:
        plan: Ordered, dependencies first.
        options: How.
        start: Runs a command to its end.

    Returns:
        One outcome for each run; after an interruption, or a failure with ``fail_fast``, the rest is skipped.
    """
    outcomes: dict[str, Outcome] = {}
    stop: str | None = None
    for position, run in enumerate(plan, start=1):
        reason = stop or _obstacle(run, outcomes, options)
        if reason is not None:
            outcome = Outcome(run.name, "skipped", reason)
        else:
            logger.info("run %d of %d: %s", position, len(plan), run.name)
            outcome = _train(run, options, start)
        if outcome.state == "finished" and options.export_onnx:
            outcome = _export(run, outcome, start)
        if not outcome.good:
            logger.error("%s: %s%s", run.name, outcome.state, f": {outcome.error}" if outcome.error else "")
        outcomes[run.name] = outcome
        if outcome.state == "interrupted":
            stop = "the batch was interrupted"
        elif options.fail_fast and not outcome.good and stop is None:
            stop = f"--fail_fast: {run.name} {outcome.state}"
    return tuple(outcomes.values())


def make_sample_data(plan: Sequence[PlannedRun], output_dir: Path) -> None:
    """Draws the embedded sample data that runs of ``plan`` train on, each kind once, before the first child starts."""
    samples = dict.fromkeys(run.config.data.sample for run in plan if not run.finished)
    for sample in samples:
        if sample is not None:
            from human_edge_detection.data.sample_people import write_sample_people

            root = sample_data_dir(output_dir, sample)
            logger.info("sample data: %s", root)
            write_sample_people(root, **dict(sample))


def judge(paths: RunPaths, ended: Ended) -> tuple[Ending, str | None]:
    """How the run in ``paths`` ended, from its status.json; the exit code only fills in what that cannot say.

    Returns:
        The state and, unless finished, the reason.
    """
    try:
        status = read_section(RunStatus, paths.status)
        if is_finished(paths):
            return "finished", None
    except CheckpointError as error:
        return "failed", str(error)
    own = status is not None and status.pid == ended.pid
    if status is not None and own and status.state == "failed":
        return "failed", status.error or "no reason given"
    if ended.interrupted or (status is not None and own and status.state == "interrupted"):
        return "interrupted", "interrupted; the same command again continues"
    if ended.returncode < 0:
        return "killed", f"killed by {signal.Signals(-ended.returncode).name}; the same command again continues"
    if status is not None and own and status.state == "finished":
        return "failed", f"ended as finished, but {paths.result} or {paths.best} is missing"
    return "failed", f"ended with exit code {ended.returncode} and left no final status; its output is above"


def _obstacle(run: PlannedRun, outcomes: Mapping[str, Outcome], options: Options) -> str | None:
    """Why ``run`` cannot be trained; None when it can or need not be."""
    if run.finished:
        return None
    if options.skip_training:
        return "not trained, and --skip_training trains nothing"
    missing = [outcomes[name] for name in run.requires if outcomes[name].state != "finished"]
    return f"needs {missing[0].name}, which is {missing[0].state}" if missing else None


def _train(run: PlannedRun, options: Options, start: Launch) -> Outcome:
    if run.finished:
        logger.info("finished earlier: %s", run.paths.root)
        return Outcome(run.name, "finished")
    if run.restart and run.paths.root.exists():
        logger.info("restart: deleting %s", run.paths.root)
        shutil.rmtree(run.paths.root)
    # With its folder there, also a run that fails before its first step leaves its error in status.json.
    run.paths.root.mkdir(parents=True, exist_ok=True)
    state, error = judge(run.paths, start(train_command(run, options.output_dir)))
    return Outcome(run.name, state, error)


def _export(run: PlannedRun, outcome: Outcome, start: Launch) -> Outcome:
    if _exported(run.paths):
        return outcome
    logger.info("exporting %s", run.name)
    ended = start(export_command(run.paths.best))
    if ended.interrupted:
        return Outcome(run.name, "interrupted", "interrupted in its export; the same command again continues")
    if _exported(run.paths):
        return outcome
    return replace(outcome, error=f"export: {_export_error(run.paths, ended)}")


def _exported(paths: RunPaths) -> bool:
    """Whether the ONNX file of the best checkpoint is there and was checked after that checkpoint was written."""
    if not (paths.onnx.is_file() and paths.parity.is_file()):
        return False
    report = read_section(ParityReport, paths.parity)
    return report is not None and report.passed and paths.parity.stat().st_mtime >= paths.best.stat().st_mtime


def _export_error(paths: RunPaths, ended: Ended) -> str:
    report = read_section(ParityReport, paths.parity)
    if report is not None and not report.passed:
        return f"differs from PyTorch by {report.max_difference:.2g}, allowed {report.tolerance:.2g}"
    return f"ended with exit code {ended.returncode} and no parity.json; its output is above"
