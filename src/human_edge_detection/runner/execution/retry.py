"""Trains one run in a child, again after a failure, each time from where the last attempt stopped."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from human_edge_detection.errors import BusyError
from human_edge_detection.files.lock import is_held
from human_edge_detection.files.write import make_folder
from human_edge_detection.runner import TOGETHER
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.backends.cluster import Cluster
from human_edge_detection.runner.execution.heartbeat import Heartbeat, last_status
from human_edge_detection.runner.execution.launch import Hung, Steps
from human_edge_detection.runner.execution.outcome import Outcome, is_own, judge
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.lookup.reservation import planning_claim, reserve, run_claim
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus

logger = logging.getLogger(__name__)

_USER_ERROR: Final = 2
"""Exit code of a child that ended with one line about what its user can mend."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_IN_QUEUE: Final = 1000
"""Runs that a batch puts into the queue of a cluster at once."""
_FREE_LOSSES: Final = 3
"""So often in a row a run may lose its machine without getting any further before that counts as its own failure."""


class Start(Protocol):
    """Starts a command as a child, and waits until that has ended, or was stopped as ``is_hung`` said so."""

    def __call__(self, command: Sequence[str], *, is_hung: Hung) -> Steps[Ended]: ...


@dataclass(frozen=True)
class Options:
    """How a batch is run.

    Attributes:
        export_onnx: Export every finished run.
        skip_training: Use the runs that are finished; train nothing.
        fail_fast: Stop after the first run that does not finish.
        retries: How often a run that did not finish is started again.
        hang_minutes: A run without a sign of life for so long is stopped; 0: never.
        join: Work beside another batch in the same output folder, on runs that nobody works on.
        jobs: So many runs at once; None: one on this machine, on a cluster all that can be.
        procs_per_run: So many processes train each run together.
        gpus_per_run: The same, each with a GPU of its own; 0: as ``procs_per_run`` says.
        cluster: Where runs are trained; None: on this machine.
    """

    export_onnx: bool = False
    skip_training: bool = False
    fail_fast: bool = False
    retries: int = 0
    hang_minutes: float = 60.0
    join: bool = False
    jobs: int | None = None
    procs_per_run: int = 1
    gpus_per_run: int = 0
    cluster: Cluster | None = None

    @property
    def at_once(self) -> int:
        """So many runs at once."""
        return self.jobs or (1 if self.cluster is None else _IN_QUEUE)

    @property
    def processes(self) -> int:
        """Processes that train each run."""
        return max(self.procs_per_run, self.gpus_per_run)


DEFAULT_OPTIONS: Final = Options()


class Trained(NamedTuple):
    """How a run ended, and its last child process."""

    outcome: Outcome
    ended: Ended


def train(run: PlannedRun, options: Options, start: Start) -> Steps[Trained]:
    """Trains ``run``; starts it again up to ``options.retries`` times when it was killed, hung or failed.

    Another machine than the one that it has lost does not count as a retry, unless it never gets any further.

    Not again when it was interrupted; and when an attempt got no further than the one before, neither after an error
    that its user is to mend (exit code 2), nor after the error of the attempt before: a wrong setting stays wrong and a
    loss that is not a number stays so, a full disk may not.

    Raises:
        BusyError: Another process works on the run.
    """
    attempt, losses = 1, 0
    while True:
        before = last_status(run.paths)
        trained = yield from _attempt(run, options, start, before, attempt)
        outcome = trained.outcome
        bad = outcome.state in ("killed", "hung", "failed") and trained.ended.interrupt is None
        went_on = _steps(last_status(run.paths)) > _steps(before)
        losses = (1 if went_on else losses + 1) if trained.ended.lost else 0
        is_free = 0 < losses <= _FREE_LOSSES
        if not bad or not (is_free or attempt <= options.retries) or _is_hopeless(run.paths, trained.ended, before):
            return trained
        seconds = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
        logger.warning("%s: %s: %s; again in %.0f s", run.name, outcome.state, outcome.error, seconds)
        with run_claim(run.paths):  # it is still ours
            yield seconds
        attempt += not is_free


def train_command(run: PlannedRun, *, export_onnx: bool = False, processes: int = 1) -> list[str]:
    """The child process that trains ``run`` in its folder, which is reserved: config.json there decides everything.

    Args:
        run: The run.
        export_onnx: Whether it also exports the best weights, once the run has finished.
        processes: So many train it together.
    """
    together = [TOGETHER, str(processes)] if processes > 1 else []
    command = [sys.executable, "-m", "human_edge_detection", *together, "train", "--output_dir", str(run.output_dir)]
    return [*command, "--resume", str(run.resume or run.paths.root), *(["--export_onnx"] if export_onnx else [])]


def _attempt(run: PlannedRun, options: Options, start: Start, before: RunStatus | None, attempt: int) -> Steps[Trained]:
    # With its folder there, also a run that fails before its first step leaves its error in status.json.
    make_folder(run.paths.root)
    if not run.paths.config.is_file():  # a batch beside this one has ended, and given the folder up
        with planning_claim(run.output_dir):
            reserve(run.paths, run.full_config, run.contents)
    heartbeat = Heartbeat(run.paths, options.hang_minutes, exports=options.export_onnx)
    command = train_command(run, export_onnx=options.export_onnx, processes=options.processes)
    ended = yield from start(command, is_hung=heartbeat.is_hung)
    state, error = judge(run.paths, ended, before)
    if state == "failed" and ended.returncode == _USER_ERROR and _is_taken(run.paths, ended, before):
        raise BusyError(f"run {run.paths.root} is another process's")
    return Trained(Outcome(run.name, state, error, attempt), ended)


def _is_taken(paths: RunPaths, ended: Ended, before: RunStatus | None) -> bool:
    """Whether the child ended because another process works, or has just worked, on the run."""
    after = last_status(paths)
    return not is_own(after, ended, before) and (after != before or is_held(paths.lock))


def _is_hopeless(paths: RunPaths, ended: Ended, before: RunStatus | None) -> bool:
    after = last_status(paths)
    if _steps(after) > _steps(before):
        return False
    as_before = before is not None and after is not None and after.error is not None and after.error == before.error
    return ended.returncode == _USER_ERROR or (ended.returncode > 0 and as_before)


def _steps(status: RunStatus | None) -> int:
    return 0 if status is None else status.step
