"""A sweep in which Optuna chooses the values: each trial is a run, and runs that fall behind are stopped early.

All that is known of a search is in its journal, one line for each event. A process that was killed leaves its trial
open there; the next one, or one that works beside it, goes on with it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from human_edge_detection.errors import BusyError, ConfigError
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import make_folder, write_atomically
from human_edge_detection.runner.backends.backend import Backend, J
from human_edge_detection.runner.execution.free_space import check_free_space
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.ownership import give_up_folders, take_folders
from human_edge_detection.runner.execution.plan import PlannedRun, check_plan, plan
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.execution.supervise import POLL_SECONDS, Hooks, supervise
from human_edge_detection.runner.sweep.search_space import Axis, label
from human_edge_detection.runner.sweep.sweep import Entry, Sweep
from human_edge_detection.runs.lookup.reservation import planning_claim
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult, read_history, read_section

logger = logging.getLogger(__name__)

_LOCK_SECONDS: Final = 60.0
_MAX_FAILURES_IN_A_ROW: Final = 3
"""Of trials, after which the search ends: so many one after the other are no bad luck."""
_WARMUP_SHARE: Final = 0.25
"""Share of the epochs before which no run is stopped."""
_REPEATS: Final = "repeats"
"""Attribute of a trial that was drawn with the values of another: the number of that one."""
_STATES: Final = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


class SearchEnd(NamedTuple):
    """How a search ended.

    Attributes:
        entries: One for each trial so far, also of other processes and earlier days.
        problem: Why it stopped before the last trial; None when it did not.
        interrupt: The signal that ended it; None when none did.
    """

    entries: tuple[Entry, ...]
    problem: str | None
    interrupt: KeyboardInterrupt | None


def search(
    sweep: Sweep, options: Options, backend: Backend[J], *, pause: Callable[[float], None] = time.sleep
) -> SearchEnd:
    """Goes on with the search of ``sweep`` until it has ``sweep.trials`` trials in all, or has tried everything.

    Finished, pruned and failed trials count; a failed one is not tried again.

    Args:
        sweep: One experiment, and what is searched.
        options: How each trial is run; with ``fail_fast`` a failed trial ends the search.
        backend: Runs the children.
        pause: Waits so many seconds.

    Raises:
        StorageError: The journal cannot be written, or the next trial does not fit on the disk; it stays open.
    """
    return _Search(sweep, options, backend, pause).work()


def entries(sweep: Sweep) -> tuple[Entry, ...]:
    """One for each trial of the search so far."""
    return tuple(_entry(sweep, trial) for trial in _counted(_open_study(sweep)))


def pruned_runs(entries: Sequence[Entry], output_dir: Path) -> list[str]:
    """The runs that were stopped early; their folders only say that they were interrupted."""
    names = [name for entry in entries if entry.status == "pruned" for name in entry.runs]
    statuses = {name: last_status(RunPaths(output_dir / name)) for name in names}
    return [name for name, status in statuses.items() if status is not None and status.state == "interrupted"]


class _Search(Generic[J]):
    def __init__(self, sweep: Sweep, options: Options, backend: Backend[J], pause: Callable[[float], None]) -> None:
        self.sweep = sweep
        self.trials = sweep.trials or 0
        self.options = replace(options, fail_fast=True)  # within a trial: after one bad seed the others tell no more
        self.fail_fast = options.fail_fast
        self.backend = backend
        self.pause = pause
        self.study = _open_study(sweep)
        self.seed = _probe(sweep).config.training.seed
        self.failures = 0
        self.problem: str | None = None
        self.interrupt: KeyboardInterrupt | None = None

    def work(self) -> SearchEnd:
        try:
            while self.problem is None and self.interrupt is None and self._next():
                pass
        except KeyboardInterrupt as interrupt:
            self.interrupt = interrupt
        return SearchEnd(entries(self.sweep), self.problem, self.interrupt)

    def _next(self) -> bool:
        """Brings one trial to its end, or waits for other processes'; False when all trials have ended."""
        with ExitStack() as held:
            trial = self._claim(held)
            if trial is not None:
                self._run(trial)
                return True
        if not self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            return False
        self.pause(POLL_SECONDS)
        return True

    def _claim(self, held: ExitStack) -> Trial | None:
        """A trial that nobody works on: one left open by a process that has gone, else a new one."""
        with _moment(self.sweep.folder / ".search.lock", "search"):
            known = self.study.get_trials(deepcopy=False)
            free = next((frozen for frozen in known if self._is_left_open(frozen, held)), None)
            if free is None and self._is_enough(_counted(self.study)):
                return None
            number = len(known) if free is None else free.number
            self.study.sampler = self._sampler(known[:number])
            if free is None:
                trial = self.study.ask()
                held.enter_context(self._trial_claim(number))
            else:
                logger.info("going on with trial %d", number)
                trial = Trial(self.study, free._trial_id)
            for axis in self.sweep.axes:
                _suggest(trial, axis)
            return trial

    def _is_enough(self, counted: Sequence[FrozenTrial]) -> bool:
        possible = [axis.count for axis in self.sweep.axes]
        everything = math.inf if None in possible else math.prod(count or 0 for count in possible)
        return len(counted) >= min(self.trials, everything)

    def _sampler(self, earlier: Sequence[FrozenTrial]) -> BaseSampler:
        """One of its own for each trial: what it draws must not depend on when a process was started."""
        seed = self.seed + len(earlier)
        # TPE likes to come back to the best values of a list; chance finds those that were not tried.
        repeated = bool(earlier) and _REPEATS in earlier[-1].user_attrs
        return RandomSampler(seed=seed) if repeated else TPESampler(seed=seed)

    def _is_left_open(self, frozen: FrozenTrial, held: ExitStack) -> bool:
        """Whether ``frozen`` has not ended and its process has gone; then its claim is ours."""
        if frozen.state is not TrialState.RUNNING:
            return False
        try:
            held.enter_context(self._trial_claim(frozen.number))
        except BusyError:
            return False
        now = self.study.get_trials(deepcopy=False)[frozen.number]
        return now.state is TrialState.RUNNING  # its process may have ended it a moment ago

    def _trial_claim(self, number: int) -> AbstractContextManager[None]:
        return hold(self.sweep.folder / f".trial_{number}.lock", f"trial {number}", advice="wait for it")

    def _run(self, trial: Trial) -> None:
        values = _values(trial.params)
        if self._is_repetition(trial):
            return
        logger.info("trial %d (%d in all): %s", trial.number, self.trials, values)
        try:
            with planning_claim(self.sweep.request.output_dir):
                runs = plan(self.sweep.request_for(self.sweep.combination(values)))
                check_plan(runs)
                check_free_space(runs, self.sweep.request.output_dir, export_onnx=False)
                take_folders(runs)
        except ConfigError as error:
            self._fail(trial, str(error))
            return
        named = [run for run in runs if run.named]
        trial.set_user_attr("runs", [run.name for run in named])
        hooks = Hooks(is_behind=_Watched(trial, named).is_behind, pause=self.pause)
        outcomes, self.interrupt = supervise(runs, self.options, self.backend, hooks=hooks)
        give_up_folders(runs)
        if self.interrupt is None:
            self._settle(trial, named, {outcome.name: outcome for outcome in outcomes})

    def _is_repetition(self, trial: Trial) -> bool:
        """Whether an earlier trial has the same values; then this one does not count, and nothing is trained."""
        for other in _counted(self.study):
            if other.number < trial.number and other.params == trial.params:
                trial.set_user_attr(_REPEATS, other.number)
                self.study.tell(trial, state=TrialState.FAIL)  # the sampler learns nothing from it
                return True
        return False

    def _settle(self, trial: Trial, named: Sequence[PlannedRun], outcomes: Mapping[str, Outcome]) -> None:
        needed = [outcome for name, outcome in outcomes.items() if name not in {run.name for run in named}]
        for outcome in needed:
            if outcome.state != "finished":  # nothing about the trial; it stays open
                self.problem = f"{outcome.name}, which the trials need, {outcome.state}: {outcome.error}"
                return
        bad = next((outcomes[run.name] for run in named if outcomes[run.name].state != "finished"), None)
        if bad is None:
            self._finish(trial, named)
        elif bad.state == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
            self.failures = 0
        else:
            self._fail(trial, f"{bad.state}: {bad.error}")

    def _finish(self, trial: Trial, named: Sequence[PlannedRun]) -> None:
        scores = [_score(run) for run in named]
        if None in scores:
            self._fail(trial, "its runs finished without a score")
            return
        known = [score for score in scores if score is not None]
        self.study.tell(trial, math.fsum(known) / len(known))
        self.failures = 0

    def _fail(self, trial: Trial, error: str) -> None:
        logger.error("trial %d failed: %s", trial.number, error)
        trial.set_user_attr("error", error)
        self.study.tell(trial, state=TrialState.FAIL)
        self.failures += 1
        if self.fail_fast:
            self.problem = f"--fail_fast: trial {trial.number} failed: {error}"
        elif self.failures == _MAX_FAILURES_IN_A_ROW:
            self.problem = f"{_MAX_FAILURES_IN_A_ROW} trials failed one after the other, the last with: {error}"


class _Watched:
    """Reports the scores of a trial's runs epoch by epoch.

    The second seed's epochs count on from the first's, so a run is compared with others of the same seed.
    """

    def __init__(self, trial: Trial, named: Sequence[PlannedRun]) -> None:
        self._trial = trial
        self._places = {run.name: place for place, run in enumerate(named)}
        self._reported = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def is_behind(self, run: PlannedRun) -> bool:
        """Whether the pruner gives ``run`` up, after its latest epoch; never after its last."""
        place, epochs = self._places.get(run.name), run.config.training.epochs
        if place is None:  # what the trials need
            return False
        news = False
        for epoch, score in _curve(run):
            step = place * epochs + epoch
            if step not in self._reported and epoch < epochs:
                self._trial.report(score, step)
                self._reported.add(step)
                news = True
        return news and self._trial.should_prune()


class _JournalLock(JournalFileOpenLock):
    """Lets one process write to the journal, and cuts off the line that a killed one has left half written.

    Optuna's own locks outlive a killed process for half a minute, and what is written after half a line can never be
    read again.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Takes the lock."""
        self._held.enter_context(_moment(self._journal.with_name(".journal.lock"), "journal"))
        content = self._journal.read_bytes()
        if content and not content.endswith(b"\n"):
            write_atomically(self._journal, content[: content.rfind(b"\n") + 1])
        return True

    def release(self) -> None:
        """Gives it back."""
        self._held.close()


def _moment(lock: Path, what: str) -> AbstractContextManager[None]:
    return hold(lock, f"{what} {lock.parent}", advice="it takes a moment; give the command again", wait=_LOCK_SECONDS)


def _open_study(sweep: Sweep) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make_folder(sweep.folder)
    journal = sweep.folder / "journal.log"
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=_JournalLock(journal)))
    epochs = _probe(sweep).config.training.epochs
    pruner = MedianPruner(n_warmup_steps=max(1, math.ceil(_WARMUP_SHARE * epochs)))
    with _moment(sweep.folder / ".search.lock", "search"):
        return optuna.create_study(
            storage=storage, study_name="search", direction="maximize", pruner=pruner, load_if_exists=True
        )


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials without those that repeat another."""
    return [trial for trial in study.get_trials(deepcopy=False) if _REPEATS not in trial.user_attrs]


def _probe(sweep: Sweep) -> PlannedRun:
    """One of the runs that the search may try."""
    return next(run for run in plan(sweep.request) if run.named)


def _suggest(trial: Trial, axis: Axis) -> None:
    if axis.bounds is None:
        trial.suggest_categorical(axis.path, [label(value) for value in axis.values])
        return
    low, high, log = axis.bounds
    if isinstance(low, int) and isinstance(high, int):
        trial.suggest_int(axis.path, low, high, log=log)
    else:
        trial.suggest_float(axis.path, low, high, log=log)


def _values(params: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna calls parameters, as values of fields: values of a list travel as their JSON."""
    return {path: json.loads(value) if isinstance(value, str) else value for path, value in params.items()}


def _curve(run: PlannedRun) -> Iterator[tuple[int, float]]:
    """(epoch, score) of each epoch that has one."""
    name = f"val/{run.config.model.monitored_metric}"
    for epoch, record in enumerate(read_history(run.paths.metrics), start=1):
        score = record.get(name)
        if score is not None:
            yield epoch, score


def _score(run: PlannedRun) -> float | None:
    result = read_section(RunResult, run.paths.result)
    return None if result is None else result.metrics.get(run.config.model.monitored_metric)


def _entry(sweep: Sweep, trial: FrozenTrial) -> Entry:
    values = _values(trial.params)
    return Entry(
        title=f"trial {trial.number}",
        values={axis.path: values.get(axis.path) for axis in sweep.axes},
        status=_STATES[trial.state],
        score=trial.value if trial.state is TrialState.COMPLETE else None,
        runs=tuple(trial.user_attrs.get("runs", ())),
        error=trial.user_attrs.get("error"),
    )
