"""Trains a plan, one child process a run, beside other batches and trainings, and says of each run how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from human_edge_detection.errors import BusyError, CheckpointError, HumanEdgeDetectionError, StorageError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import is_held
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.launch import Ended, Hung, export_command, launch, never
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.ownership import Waiting
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.execution.retry import Launch, Options, Pause, train
from human_edge_detection.runner.execution.staleness import stale_teacher
from human_edge_detection.runs.artifacts import is_exported
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.lookup.reservation import run_claim
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import ParityReport, read_section
from human_edge_detection.runs.standing import CONTINUES, standing_of
from human_edge_detection.signals import REQUEUE, Terminated

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 5.0
"""Between two looks at runs that other processes work on."""
_INTERRUPTED: Final = "the batch was interrupted"


class BatchEnd(NamedTuple):
    """How a batch ended.

    Attributes:
        outcomes: One for each run of the plan, in its order.
        interrupt: What ended the batch early; None when nothing did.
    """

    outcomes: tuple[Outcome, ...]
    interrupt: KeyboardInterrupt | None


class Watcher(Protocol):
    """Is told what a batch does."""

    def started(self, name: str) -> None:
        """The run is its now."""

    def settled(self, outcome: Outcome) -> None:
        """A run has come to its end."""


def supervise(
    plan: Sequence[PlannedRun],
    options: Options,
    *,
    start: Launch = launch,
    ahead: Callable[[], None] = lambda: None,
    pause: Pause = time.sleep,
    watcher: Watcher | None = None,
) -> BatchEnd:
    """Trains the runs of ``plan``, each after what it requires, and none that another process works on.

    Runs of other processes are left for last. When such a run has finished it is used, when it has failed it is
    reported, and when nobody works on it any more (its process was killed or interrupted) it is taken.

    Args:
        plan: Ordered, dependencies first.
        options: How.
        start: Runs a command to its end.
        ahead: Called, again and again, while a run is about to end and another one follows.
        pause: Waits so many seconds.
        watcher: Is told of each run that is trained, and how it ended; None: nobody is.

    Returns:
        The outcomes. After an interruption, or a failure with ``fail_fast``, the rest is skipped.
    """
    return _Batch(plan, options, start, ahead, pause, watcher).work()


class _Batch:
    def __init__(
        self,
        plan: Sequence[PlannedRun],
        options: Options,
        start: Launch,
        ahead: Callable[[], None],
        pause: Pause,
        watcher: Watcher | None,
    ) -> None:
        self.plan = plan
        self.options = options
        self.launch = start
        self.ahead = ahead
        self.pause = pause
        self.watcher = watcher
        self.outcomes: dict[str, Outcome] = {}
        self.at_start = {run.name: last_status(run.paths) for run in plan}
        self.current: PlannedRun | None = None
        self.interrupt: KeyboardInterrupt | None = None
        self.stop: str | None = None
        self.waiting = Waiting()

    def work(self) -> BatchEnd:
        try:
            while self.stop is None and (pending := [run for run in self.plan if run.name not in self.outcomes]):
                self._next(pending)
        except KeyboardInterrupt as interrupt:
            self._interrupted(interrupt)
        rest = {run.name: self._left_over(run) for run in self.plan if run.name not in self.outcomes}
        return BatchEnd(tuple((self.outcomes | rest)[run.name] for run in self.plan), self.interrupt)

    def _next(self, pending: Sequence[PlannedRun]) -> None:
        """Brings one run to its end; waits a little when other processes work on all that could be next."""
        possible = [run for run in pending if all(name in self.outcomes for name in run.requires)]
        self.current = next((run for run in possible if not self._is_taken(run)), None)
        if self.current is None:
            self.waiting.say(possible)
            self.pause(POLL_SECONDS)
            return
        outcome = self._settle(self.current)
        if outcome is not None:
            self._record(outcome)
        if self.interrupt is not None:
            self.stop = _INTERRUPTED
        self.current = None

    def _is_taken(self, run: PlannedRun) -> bool:
        """Whether ``run`` has to wait for another process."""
        skipped = self.options.skip_training and not _has_finished(run)
        try:
            return not skipped and is_held(run.paths.lock)
        except StorageError:
            return False  # what is wrong will be said when it is tried

    def _settle(self, run: PlannedRun) -> Outcome | None:
        """How ``run`` ended; None when another process took it meanwhile."""
        try:
            outcome = self._finished_elsewhere(run)
            return self._train(run) if outcome is None else self._export(run, outcome)
        except BusyError:
            return None
        except (HumanEdgeDetectionError, OSError) as error:
            return Outcome(run.name, "failed", str(error))

    def _finished_elsewhere(self, run: PlannedRun) -> Outcome | None:
        """The outcome of a run that this batch need not, or must not, train; None when it can."""
        if is_finished(run.paths):
            stored = read_section(ExperimentConfig, run.paths.config)
            if stored is not None and stored.training.epochs != run.config.training.epochs:
                epochs = f"another command has trained it to {stored.training.epochs} epochs since it was planned"
                return Outcome(run.name, "failed", epochs)
            reason = stale_teacher(run)
            logger.info("finished: %s", run.paths.root)
            return Outcome(run.name, "stale" if reason else "finished", reason)
        if self.options.skip_training:
            standing = standing_of(run.paths, last_status(run.paths), hashes=True)
            reason = standing.reason if standing.state == "damaged" else "not trained"
            return Outcome(run.name, "skipped", f"{reason}, and --skip_training trains nothing")
        missing = [self.outcomes[name] for name in run.requires if self.outcomes[name].state != "finished"]
        if missing:
            return Outcome(run.name, "skipped", f"needs {missing[0].name}, which is {missing[0].state}")
        status = last_status(run.paths)
        if status is not None and status.state == "failed" and status != self.at_start[run.name]:
            return Outcome(run.name, "failed", f"in process {status.pid} on {status.host}: {status.error}")
        return None

    def _train(self, run: PlannedRun) -> Outcome:
        logger.info("run %d of %d: %s", len(self.outcomes) + 1, len(self.plan), run.name)
        if self.watcher is not None:
            self.watcher.started(run.name)
        outcome, ended = train(run, self.options, start=self._start, pause=self.pause)
        if outcome.state == "interrupted" and self.interrupt is None:  # the signal went to the child alone
            self.interrupt = Terminated() if ended.returncode == REQUEUE else KeyboardInterrupt()
        return self._exported(run, outcome, ended) if self._lacks_export(run, outcome) else outcome

    def _export(self, run: PlannedRun, outcome: Outcome) -> Outcome:
        """Exports a run that was trained earlier; one that is trained now is exported by the same child."""
        if not self._lacks_export(run, outcome):
            return outcome
        with run_claim(run.paths):
            logger.info("exporting %s", run.name)
            ended = self._start(export_command(run.paths.best))
        return self._exported(run, outcome, ended) if self._lacks_export(run, outcome) else outcome

    def _lacks_export(self, run: PlannedRun, outcome: Outcome) -> bool:
        return self.options.export_onnx and outcome.state == "finished" and not is_exported(run.paths)

    def _exported(self, run: PlannedRun, outcome: Outcome, ended: Ended) -> Outcome:
        """The outcome of a run that has finished, and its child ended without an export."""
        if ended.interrupt is not None:
            return replace(outcome, state="interrupted", error=f"interrupted in its export; {CONTINUES}")
        return replace(outcome, error=f"export: {_export_error(run.paths, ended)}")

    def _start(self, command: Sequence[str], *, is_hung: Hung = never) -> Ended:
        def watch(seconds: float) -> bool:
            if self._another_follows():
                self.ahead()
            return is_hung(seconds)

        ended = self.launch(command, is_hung=watch)
        self.interrupt = self.interrupt or ended.interrupt
        return ended

    def _another_follows(self) -> bool:
        """Whether the run under way is about to end, and another one is to be trained after it."""
        run = self.current
        others = [other for other in self.plan if other.name not in self.outcomes and not other.finished]
        if run is None or all(other is run for other in others):
            return False
        status = last_status(run.paths)
        if status is None:
            return False
        # An export leaves time enough, and processors to spare, for what the next run prepares.
        last = run.config.training.epochs - (0 if self.options.export_onnx else 1)
        return status.state == "finished" or status.epoch >= last

    def _record(self, outcome: Outcome) -> None:
        if outcome.attempts > 1:
            error = None if outcome.error is None else f"{outcome.error} ({outcome.attempts} attempts)"
            outcome = replace(outcome, error=error)
        self.outcomes[outcome.name] = outcome
        if self.watcher is not None:
            self.watcher.settled(outcome)
        if not outcome.good:
            level = logging.INFO if outcome.state == "pruned" else logging.ERROR
            logger.log(level, "%s: %s%s", outcome.name, outcome.state, f": {outcome.error}" if outcome.error else "")
        if self.options.fail_fast and not outcome.good:
            self.stop = f"--fail_fast: {outcome.name} {outcome.state}"

    def _interrupted(self, interrupt: KeyboardInterrupt) -> None:
        """A signal came while no child ran."""
        self.interrupt, self.stop = interrupt, _INTERRUPTED
        if self.current is not None and not _has_finished(self.current):
            self.outcomes[self.current.name] = Outcome(self.current.name, "interrupted", CONTINUES)

    def _left_over(self, run: PlannedRun) -> Outcome:
        return Outcome(run.name, "finished") if _has_finished(run) else Outcome(run.name, "skipped", self.stop)


def _has_finished(run: PlannedRun) -> bool:
    try:
        return is_finished(run.paths)
    except CheckpointError:
        return False


def _export_error(paths: RunPaths, ended: Ended) -> str:
    report = read_section(ParityReport, paths.parity)
    if report is not None and not report.passed:
        return report.problem or report.in_words
    return f"ended with exit code {ended.returncode} and no parity.json of its checkpoint; its output is above"
