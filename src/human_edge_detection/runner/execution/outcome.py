"""How a run ended: its folder decides, the exit code only fills in what that cannot say."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.runs.standing import CONTINUES

Ending = Literal["finished", "failed", "killed", "hung", "pruned", "interrupted", "skipped", "stale"]


@dataclass(frozen=True)
class Outcome:
    """How one run of a batch ended.

    Attributes:
        name: Folder below the output folder.
        state: How. ``stale``: finished, but its teacher is not what it was.
        error: Why it did not finish, or why its export failed.
        attempts: How often this batch started it.
    """

    name: str
    state: Ending
    error: str | None = None
    attempts: int = 0

    @property
    def good(self) -> bool:
        """Finished, and exported when that was asked for."""
        return self.state == "finished" and self.error is None


def judge(paths: RunPaths, ended: Ended, before: RunStatus | None) -> tuple[Ending, str | None]:
    """How the run in ``paths`` ended.

    Args:
        paths: The run.
        ended: Its child process.
        before: Its status before that was started.

    Returns:
        The state and, unless finished, the reason.
    """
    try:
        status = read_section(RunStatus, paths.status)
        if is_finished(paths):
            return "finished", None
    except CheckpointError as error:
        return "failed", str(error)
    own = status if is_own(status, ended, before) else None
    if own is not None and own.state == "failed":
        return "failed", own.error or "no reason given"
    if ended.pruned and ended.interrupt is None:
        return "pruned", "its scores fell behind those of other trials"
    asked = own is not None and own.state == "interrupted" and not (ended.hung or ended.lost)
    if ended.interrupt is not None or asked:
        return "interrupted", CONTINUES
    if ended.hung:
        return "hung", f"showed no sign of life and was stopped; {CONTINUES}"
    if ended.lost:
        return "killed", f"its machine was lost or taken back; {CONTINUES}"
    if ended.returncode < 0:
        return "killed", f"killed by {_signal_name(-ended.returncode)}; {CONTINUES}"
    if own is not None and own.state == "finished":
        return "failed", f"ended as finished, but {paths.result} or {paths.best} is missing or damaged"
    return "failed", f"ended with exit code {ended.returncode} and left no final status; {ended.said}"


def is_own(status: RunStatus | None, ended: Ended, before: RunStatus | None) -> bool:
    """Whether the child wrote ``status``; its process id alone cannot tell: in containers it often comes again."""
    return status is not None and status != before and status.pid == ended.pid


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
