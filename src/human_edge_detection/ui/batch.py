"""Starting and stopping the batch of an output folder: ``hed run`` processes that this one may leave behind."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import BusyError, ConfigError, StorageError
from human_edge_detection.files.lock_state import holder, holder_process, is_held
from human_edge_detection.files.read import open_regular_file
from human_edge_detection.files.write import make_folder
from human_edge_detection.runs.paths import BATCH_LOCK

LOG_FILE: Final = "ui.log"
"""In the output folder: what the batches say that are started from the page, each after its command."""
_PROMPT: Final = "$ "
_READ_BYTES: Final = 1 << 16
_MAX_LOG_BYTES: Final = 1 << 40


class AtWork(NamedTuple):
    """Whether a batch works in an output folder.

    Attributes:
        holder: Its process, in words; None: no batch has the folder.
        starting: One that was started here does not have it yet, or no longer.
    """

    holder: str | None
    starting: bool


class Batches:
    """The batches of one output folder. Who is at work is read from its lock; what is kept here are own children."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def at_work(self) -> AtWork:
        """Which batch works in the folder now."""
        who = _holder_of(self._output_dir)
        return AtWork(who, who is None and self._child is not None and self._child.poll() is None)

    def start(self, words: Sequence[str]) -> None:
        """Starts ``hed run WORDS``, which goes on when this process ends.

        Raises:
            BusyError: A batch works in the folder, or is being started by this process.
            StorageError: The log cannot be written.
        """
        with self._lock:
            now = self.at_work
            if now.starting:
                raise BusyError("a batch starts or ends at this moment; wait some seconds")
            if now.holder is not None:
                raise BusyError(f"output folder {self._output_dir} is in use by {now.holder}; wait for it, or stop it")
            self._child = _spawn(words, self._output_dir)

    def stop(self, who: str) -> None:
        """Asks the batch to save and end, as a scheduler does.

        Args:
            who: The process that is meant, as :attr:`at_work` calls it: another one is left alone.

        Raises:
            BusyError: Another batch works there by now.
            ConfigError: None does, or it is not a process of this user on this machine.
        """
        now = _holder_of(self._output_dir)
        if now is None:
            raise ConfigError(f"{self._output_dir}: no batch works there any more")
        if now != who:
            raise BusyError(f"{self._output_dir}: now in use by {now}, not by {who}; look again before you stop it")
        _end(self._output_dir / BATCH_LOCK, now)


def log_tail(output_dir: Path, most: int = 20) -> list[str]:
    """The last command that was started from the page, and the last lines of what it said; empty without one."""
    try:
        with open_regular_file(output_dir / LOG_FILE, max_bytes=_MAX_LOG_BYTES) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _READ_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    first = max((number for number, line in enumerate(lines) if line.startswith(_PROMPT)), default=0)
    return [*lines[first : first + 1], *lines[first + 1 :][-most:]]


def shown_command(words: Sequence[str]) -> str:
    """``hed run WORDS`` as it is typed into a shell."""
    return f"hed run {shlex.join(words)}"


def _spawn(words: Sequence[str], output_dir: Path) -> subprocess.Popen[bytes]:
    make_folder(output_dir)
    path = output_dir / LOG_FILE
    command = [sys.executable, "-m", "human_edge_detection", "run", *words]
    try:
        with path.open("ab") as log:
            log.write(f"{_PROMPT}{shown_command(words)}\n".encode())
            log.flush()
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # neither Ctrl-C here nor a terminal that is closed reaches it
                env={**os.environ, "NO_COLOR": "1"},
            )
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; nothing was started; check the disk") from error


def _holder_of(output_dir: Path) -> str | None:
    lock = output_dir / BATCH_LOCK
    try:
        return holder(lock) if is_held(lock) else None
    except StorageError:  # a folder that we may only read, or one without locks
        return None


def _end(lock: Path, who: str) -> None:
    """Sends SIGTERM to the process that holds ``lock``, and to no other: a number may be another process's by now."""
    process = holder_process(lock)
    advice = "stop it where it was started, with Ctrl-C"
    if process is None or process.host != socket.gethostname():
        raise ConfigError(f"the batch of {who} runs on another machine; {advice}")
    if not hasattr(os, "pidfd_open"):
        raise ConfigError(f"this system cannot tell that {who} still is this batch; {advice}, or: kill {process.pid}")
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError as error:
        raise ConfigError(f"{who} has ended, or is in another container; {advice}") from error
    try:
        if not _is_ours_with(process.pid, lock):
            raise ConfigError(f"{who} is another user's, or no longer this batch; {advice}")
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has ended meanwhile
    finally:
        os.close(descriptor)


def _is_ours_with(pid: int, lock: Path) -> bool:
    """Whether the process ``pid`` is this user's and has ``lock`` open, as only who holds it has."""
    proc = Path("/proc") / str(pid)
    try:
        wanted = lock.stat()
        if proc.stat().st_uid != os.getuid():
            return False
        return any(_is_file(entry, wanted) for entry in (proc / "fd").iterdir())
    except OSError:
        return False


def _is_file(descriptor: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(descriptor.stat(), wanted)
    except OSError:  # closed meanwhile
        return False
