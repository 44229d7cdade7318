"""Where a run stands: what its status says, and whether that is true of its folder and its lock."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from human_edge_detection.errors import StorageError
from human_edge_detection.files.lock_state import is_held
from human_edge_detection.runs.paths import RunPaths

_KILLED: Final = "nobody works on it, and it left no final status (killed, or its disk was full); "
CONTINUES: Final = "the same command again continues"


class Said(Protocol):
    """What a run says of itself; a :class:`~human_edge_detection.runs.records.RunStatus`, or part of one."""

    @property
    def state(self) -> str: ...
    @property
    def error(self) -> str | None: ...
    @property
    def pid(self) -> int: ...
    @property
    def host(self) -> str: ...


class Standing(NamedTuple):
    """Where a run stands.

    Attributes:
        state: As in its status; ``killed`` for a run that says running while nobody works on it, ``damaged`` for one
            that says finished and is not whole, ``unknown`` without a status.
        reason: Why it is not finished, where that is known.
    """

    state: str
    reason: str | None


def standing_of(
    paths: RunPaths,
    status: Said | None,
    *,
    hashes: bool = False,
    problem_of_best: Callable[[Path], str | None] | None = None,
) -> Standing:
    """Where a run stands.

    Args:
        paths: Its folder.
        status: What it says.
        hashes: Its best checkpoint is hashed, too.
        problem_of_best: Says why the best checkpoint is not whole; None: its summary is read.
    """
    if status is None:
        return Standing("unknown", None)
    if status.state == "running" and not _is_at_work(paths, status):
        return Standing("killed", _KILLED + CONTINUES)
    if status.state == "finished":
        missing = None if paths.result.is_file() else f"{paths.result.name} is missing"
        problem = missing or (problem_of_best(paths.best) if problem_of_best else _problem_of_best(paths, hashes))
        if problem is not None:
            return Standing("damaged", f"says finished, but {problem}")
    return Standing(status.state, status.error)


def _problem_of_best(paths: RunPaths, hashes: bool) -> str | None:
    from human_edge_detection.runs.artifacts import checkpoint_problem  # else who only looks at runs waits for it

    return checkpoint_problem(paths.best, hashes=hashes)


def _is_at_work(paths: RunPaths, status: Said) -> bool:
    """Whether a process works on the run: it holds the run's lock, while a process id may be anybody's by now."""
    try:
        return is_held(paths.lock)
    except StorageError:  # a folder that we may only read, or one without locks
        return status.host != socket.gethostname() or _is_alive(status.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
