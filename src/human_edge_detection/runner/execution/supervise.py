"""Trains a plan, one child a run and as many at once as asked, and says of each run how it ended.

One thread does it all. What is to happen with a run is a generator (:data:`Steps`) that yields while it waits: for its
child, for memory, for its next attempt. The batch goes from one to the next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Generic, NamedTuple, Protocol

from human_edge_detection.errors import BusyError, CheckpointError, HumanEdgeDetectionError, StorageError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import is_held
from human_edge_detection.runner.backends.backend import Backend, Ended, J, Work
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.launch import (
    LOOK_SECONDS,
    HandedOn,
    Hung,
    Steps,
    export_command,
    never,
    until_it_ends,
)
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.ownership import Waiting
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.execution.retry import Options, train
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


class Sharing(Protocol):
    """What each of the runs that are trained at once has of the machine."""

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` for ``run`` with what the runs at ``place`` (0, 1, ...) have."""

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """What is missing to start ``run`` while the runs ``beside`` it are trained, in words; None when nothing is."""


class Unshared:
    """One run at a time, which has what this process has."""

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` as it is."""
        return Work(run.name, run.paths.root, tuple(command))

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """Nothing."""
        return None


@dataclass(frozen=True)
class Hooks:
    """What others do while a batch works.

    Attributes:
        watcher: Is told of each run that is trained, and how it ended; None: nobody is.
        ahead: Called, again and again, while a run is about to end and another one follows; None: nothing.
        is_behind: Called, again and again, with a run that is trained; True: it is stopped, as one that was pruned.
        pause: Waits so many seconds.
    """

    watcher: Watcher | None = None
    ahead: Callable[[], None] | None = None
    is_behind: Callable[[PlannedRun], bool] = lambda run: False
    pause: Callable[[float], None] = time.sleep


def supervise(
    plan: Sequence[PlannedRun],
    options: Options,
    backend: Backend[J],
    *,
    sharing: Sharing | None = None,
    hooks: Hooks | None = None,
) -> BatchEnd:
    """Trains the runs of ``plan``, each after what it requires, and none that another process works on.

    Runs of other processes are left for last. When such a run has finished it is used, when it has failed it is
    reported, and when nobody works on it any more (its process was killed or interrupted) it is taken.

    Args:
        plan: Ordered, dependencies first.
        options: How.
        backend: Runs the children.
        sharing: What each has of the machine; None: all.
        hooks: What others do meanwhile; None: nothing.

    Returns:
        The outcomes. After an interruption, of the batch or of one child alone, or a failure with ``fail_fast``, the
        children that still work save their state and end, and the rest is skipped.
    """
    return _Batch(plan, options, backend, sharing or Unshared(), hooks or Hooks()).work()


@dataclass
class _Active(Generic[J]):
    """A run under way.

    Attributes:
        run: It.
        place: The lowest number that no other has.
        steps: What is to be done with it.
        due: When it goes on, by the clock of the batch.
        job: Its child; None before and between its children.
        has_begun: It has had a child.
        is_cancelled: The batch has asked its child to end.
    """

    run: PlannedRun
    place: int
    steps: Steps[Outcome | None] = field(init=False)
    due: float = 0.0
    job: J | None = None
    has_begun: bool = False
    is_cancelled: bool = False


class _Batch(Generic[J]):
    def __init__(
        self, plan: Sequence[PlannedRun], options: Options, backend: Backend[J], sharing: Sharing, hooks: Hooks
    ) -> None:
        self.plan = plan
        self.options = options
        self.backend = backend
        self.sharing = sharing
        self.hooks = hooks
        self.outcomes: dict[str, Outcome] = {}
        self.at_start = {run.name: last_status(run.paths) for run in plan}
        self.active: list[_Active[J]] = []
        self.signals = HandedOn()
        self.interrupt: KeyboardInterrupt | None = None
        self.stop: str | None = None
        self.waiting = Waiting()
        self.clock = 0.0
        """Seconds that this batch has waited. Not the clock's, which goes on while the process is halted."""
        self.next_look = 0.0

    def work(self) -> BatchEnd:
        with self.signals:
            while self.active or (self.stop is None and len(self.outcomes) < len(self.plan)):
                self._heed_signals()
                self._begin_runs()
                for active in [one for one in self.active if one.due <= self.clock]:
                    self._go_on(active)
                self._wait()
        self.interrupt = self.interrupt or self.signals.interrupt  # one of the last moment
        rest = {run.name: self._left_over(run) for run in self.plan if run.name not in self.outcomes}
        return BatchEnd(tuple((self.outcomes | rest)[run.name] for run in self.plan), self.interrupt)

    def _begin_runs(self) -> None:
        """Begins with runs that can be next, as many as may be under way; not each time, as each look takes time."""
        while self._has_room() and self.next_look <= self.clock:
            possible = self._possible()
            run = next((run for run in possible if not self._is_taken(run)), None)
            if run is None:
                self.next_look = self.clock + POLL_SECONDS
                if not self.active:
                    self.waiting.say(possible)
                return
            places = {active.place for active in self.active}
            active: _Active[J] = _Active(run, min(set(range(self.options.at_once)) - places))
            active.steps = self._settle(active)
            self.active.append(active)
            self._go_on(active)

    def _has_room(self) -> bool:
        """Whether one more run may be under way."""
        ends = self.stop is not None or self.signals.interrupt is not None
        return not ends and len(self.active) < self.options.at_once

    def _possible(self) -> list[PlannedRun]:
        """The runs that are to be settled next: all that they require are."""
        under_way = {active.run.name for active in self.active}
        pending = (run for run in self.plan if run.name not in self.outcomes and run.name not in under_way)
        return [run for run in pending if all(name in self.outcomes for name in run.requires)]

    def _go_on(self, active: _Active[J]) -> None:
        """One more step of a run."""
        try:
            active.due = self.clock + next(active.steps)
        except StopIteration as end:
            self.active.remove(active)
            self.next_look = self.clock
            if end.value is not None:
                self._record(end.value)

    def _wait(self) -> None:
        """Until something is due, but never so long that a signal goes unheeded."""
        due = [active.due for active in self.active]
        if self._has_room():
            due.append(self.next_look)
        seconds = min(max(min(due, default=0.0) - self.clock, 0.0), LOOK_SECONDS)
        if seconds:
            self.hooks.pause(seconds)
            self.clock += seconds

    def _heed_signals(self) -> None:
        self.signals.hand_on(self.backend, [active.job for active in self.active if active.job is not None])
        if self.interrupt is None and self.signals.interrupt is not None:
            self.interrupt = self.signals.interrupt
            self.stop = self.stop or _INTERRUPTED
        if self.stop is not None:
            for active in [one for one in self.active if one.job is None]:
                self._give_up(active)

    def _give_up(self, active: _Active[J]) -> None:
        """Ends with a run that waits for memory or for its next attempt."""
        active.steps.close()
        self.active.remove(active)
        if active.has_begun and not _has_finished(active.run):
            self.outcomes[active.run.name] = Outcome(active.run.name, "interrupted", CONTINUES)

    def _stop(self, reason: str) -> None:
        """Begins with no more runs, and asks the children to end."""
        if self.stop is None:
            self.stop = reason
            for active in self.active:
                if active.job is not None:
                    active.is_cancelled = True
                    self.backend.cancel(active.job)

    def _is_taken(self, run: PlannedRun) -> bool:
        """Whether ``run`` has to wait for another process."""
        skipped = self.options.skip_training and not _has_finished(run)
        try:
            return not skipped and is_held(run.paths.lock)
        except StorageError:
            return False  # what is wrong will be said when it is tried

    def _settle(self, active: _Active[J]) -> Steps[Outcome | None]:
        """How a run ended; None when another process took it meanwhile."""
        run = active.run
        try:
            outcome = self._finished_elsewhere(run)
            return (yield from self._train(active) if outcome is None else self._export(active, outcome))
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

    def _train(self, active: _Active[J]) -> Steps[Outcome]:
        run = active.run
        logger.info("run %d of %d: %s", len(self.outcomes) + len(self.active), len(self.plan), run.name)
        if self.hooks.watcher is not None:
            self.hooks.watcher.started(run.name)
        outcome, ended = yield from train(run, self.options, partial(self._start, active))
        if outcome.state == "interrupted" and ended.interrupt is None:  # the signal went to the child alone
            self.interrupt = Terminated() if ended.returncode == REQUEUE else KeyboardInterrupt()
            self._stop(_INTERRUPTED)
        return self._exported(run, outcome, ended) if self._lacks_export(run, outcome) else outcome

    def _export(self, active: _Active[J], outcome: Outcome) -> Steps[Outcome]:
        """Exports a run that was trained earlier; one that is trained now is exported by the same child."""
        run = active.run
        if not self._lacks_export(run, outcome):
            return outcome
        with run_claim(run.paths):
            logger.info("exporting %s", run.name)
            ended = yield from self._start(active, export_command(run.paths.best))
        return self._exported(run, outcome, ended) if self._lacks_export(run, outcome) else outcome

    def _lacks_export(self, run: PlannedRun, outcome: Outcome) -> bool:
        return self.options.export_onnx and outcome.state == "finished" and not is_exported(run.paths)

    def _exported(self, run: PlannedRun, outcome: Outcome, ended: Ended) -> Outcome:
        """The outcome of a run that has finished, and its child ended without an export."""
        if ended.interrupt is not None:
            return replace(outcome, state="interrupted", error=f"interrupted in its export; {CONTINUES}")
        return replace(outcome, error=f"export: {_export_error(run.paths, ended)}")

    def _start(self, active: _Active[J], command: Sequence[str], *, is_hung: Hung = never) -> Steps[Ended]:
        """How the child ended that does ``command`` for a run."""
        yield from self._room(active)
        is_behind = False

        def watch(seconds: float) -> bool:
            nonlocal is_behind
            if self.hooks.ahead is not None and self._another_follows(active.run):
                self.hooks.ahead()
            is_behind = self.hooks.is_behind(active.run)
            return is_behind or is_hung(seconds)

        active.job = job = self.backend.submit(self.sharing.work(active.run, active.place, command))
        active.has_begun = True
        stopped = yield from until_it_ends(self.backend, job, watch)
        active.job = None
        interrupt = self.signals.interrupt or (Terminated() if active.is_cancelled else None)
        ended = self.backend.result(job)
        return ended._replace(interrupt=interrupt, hung=stopped and not is_behind, pruned=stopped and is_behind)

    def _room(self, active: _Active[J]) -> Steps[None]:
        """Until there is room for a run beside the others; alone it is started in any case."""
        said = False
        while True:
            beside = [other.run for other in self.active if other.job is not None]
            lack = self.sharing.lack(active.run, beside)
            if lack is None:
                return
            if not beside:
                logger.warning("%s: %s; it starts all the same, as none is under way beside it", active.run.name, lack)
                return
            if not said:
                logger.info("%s waits: %s", active.run.name, lack)
                said = True
            yield LOOK_SECONDS

    def _another_follows(self, run: PlannedRun) -> bool:
        """Whether ``run`` is about to end, and another one is to be trained after it."""
        others = [other for other in self.plan if other.name not in self.outcomes and not other.finished]
        if all(other is run for other in others):
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
        if self.hooks.watcher is not None:
            self.hooks.watcher.settled(outcome)
        if not outcome.good:
            level = logging.INFO if outcome.state == "pruned" else logging.ERROR
            logger.log(level, "%s: %s%s", outcome.name, outcome.state, f": {outcome.error}" if outcome.error else "")
        if self.options.fail_fast and not outcome.good:
            self._stop(f"--fail_fast: {outcome.name} {outcome.state}")

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
    return f"ended with exit code {ended.returncode} and no parity.json of its checkpoint; {ended.said}"
