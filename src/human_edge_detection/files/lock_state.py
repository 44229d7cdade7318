"""Whether a lock is held and by whom; imports little, so that thousands of runs are looked at in a moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import StorageError
from human_edge_detection.files.read import read_regular_file

try:
    import fcntl
except ImportError:  # Windows, where nothing is trained
    fcntl = None  # type: ignore[assignment]

_MAX_NOTE_BYTES: Final = 4096


def is_held(lock: Path) -> bool:
    """Whether a process holds ``lock`` now. Looking takes it for a moment: wait a little in ``lock.hold``.

    Raises:
        StorageError: The lock file cannot be locked.
    """
    if fcntl is None:
        return False
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise cannot_lock(lock, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
    except BlockingIOError:
        return True
    except OSError as error:
        raise cannot_lock(lock, error) from error
    finally:
        os.close(descriptor)  # gives it back
    return False


class Holder(NamedTuple):
    """The process that holds a lock, as the lock file tells it.

    Attributes:
        pid: Its number, which means something on ``host`` alone.
        host: The machine that it runs on.
        since: When it took the lock.
    """

    pid: int
    host: str
    since: str


def holder_process(lock: Path) -> Holder | None:
    """Who holds ``lock``, or held it last; None when the lock file does not tell."""
    try:
        process = json.loads(read_regular_file(lock, max_bytes=_MAX_NOTE_BYTES))
        pid, host, since = (process[name] for name in ("pid", "host", "since"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if type(pid) is int and pid > 0 and isinstance(host, str) and isinstance(since, str):
        return Holder(pid, host, since)
    return None


def holder(lock: Path) -> str:
    """Who holds ``lock``, in words."""
    process = holder_process(lock)
    return "another process" if process is None else f"process {process.pid} on {process.host} since {process.since}"


def cannot_lock(lock: Path, error: OSError) -> StorageError:
    """What to say of a lock that the system does not give."""
    return StorageError(
        f"{lock} cannot be locked ({error.strerror}); check the rights of its folder, "
        "and that its file system has locks (flock)"
    )
