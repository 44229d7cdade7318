"""Locks between processes: one for each run, one for a batch. The kernel frees them, also after kill -9."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from human_edge_detection.errors import BusyError
from human_edge_detection.files.lock_state import cannot_lock
from human_edge_detection.files.lock_state import holder as holder
from human_edge_detection.files.lock_state import is_held as is_held
from human_edge_detection.files.write import make_folder

_POLL_SECONDS = 0.01


@contextmanager
def hold(lock: Path, what: str, *, advice: str, wait: float = 0.0, keep: bool = True) -> Iterator[None]:
    """Holds ``lock`` while the context is open; its file says who holds it.

    Args:
        lock: The lock file; its folder is made.
        what: What it guards, for the message: ``"run PATH"``.
        advice: What to do when it is taken, for the message.
        wait: Longest time to wait for it, seconds.
        keep: The file stays, and says who held it last.

    Raises:
        BusyError: Another process holds it; names that process, its host and since when.
        StorageError: The lock file cannot be made or locked.
    """
    make_folder(lock.parent)
    file_lock = _acquire(lock, wait)
    if file_lock is None:
        raise BusyError(f"{what} is in use by {holder(lock)}; {advice}")
    try:
        with suppress(OSError):  # a full disk: the lock holds without its note
            lock.write_text(json.dumps(_this_process()) + "\n", encoding="utf-8")
        yield
    finally:
        if not keep:
            with suppress(OSError):
                lock.unlink()  # while it is held: who waits for this file sees that it has no name, and makes another
        file_lock.release()


def _acquire(lock: Path, wait: float) -> FileLock | None:
    """The lock, taken; None when another process kept it for ``wait`` seconds."""
    # Without flock, filelock would fall back to a file that a killed process leaves behind: locked for ever.
    file_lock = FileLock(lock, timeout=wait, thread_local=False, poll_interval=_POLL_SECONDS, fallback_to_soft=False)
    try:
        file_lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise cannot_lock(lock, error) from error
    return file_lock


def _this_process() -> dict[str, int | str]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
