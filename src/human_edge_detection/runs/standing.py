"""Where a run stands: what its status says, and whether that is true of its folder and its lock."""

from __future__ import annotations

import os
import socket
from typing import Final, NamedTuple

from human_edge_detection.errors import StorageError
from human_edge_detection.files.lock import is_held
from human_edge_detection.runs.artifacts import checkpoint_problem
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus

_KILLED: Final = "nobody works on it, and it left no final status (killed, or its disk was full); "
CONTINUES: Final = "the same command again continues"


class Standing(NamedTuple):
    """Where a run stands.

    Attributes:
        state: As in its status; ``killed`` for a run that says running while nobody works on it, ``damaged`` for one
            that says finished and is not whole, ``unknown`` without a status.
        reason: Why it is not finished, where that is known.
    """

    state: str
    reason: str | None


def standing_of(paths: RunPaths, status: RunStatus | None, *, hashes: bool = False) -> Standing:
    """Where the run in ``paths`` stands, which says ``status``; ``hashes``: its best checkpoint is hashed, too."""
    if status is None:
        return Standing("unknown", None)
    if status.state == "running" and not _is_at_work(paths, status):
        return Standing("killed", _KILLED + CONTINUES)
    if status.state == "finished":
        missing = None if paths.result.is_file() else f"{paths.result.name} is missing"
        problem = missing or checkpoint_problem(paths.best, hashes=hashes)
        if problem is not None:
            return Standing("damaged", f"says finished, but {problem}")
    return Standing(status.state, status.error)


def _is_at_work(paths: RunPaths, status: RunStatus) -> bool:
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
