"""One child process for each run: its own memory and accelerator, and a crash that stays its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple

from human_edge_detection.signals import SCHEDULER_SIGNALS, interruption

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
STOP_SECONDS: Final = 30.0
"""Time that a child has to save its state before it is killed."""
ECHO_SECONDS: Final = 5.0
"""After Ctrl-C a child has so long to end; one that did not get it (``kill -INT`` of this process) gets SIGTERM."""
_INSIST: Final = 3
"""Ctrl-C so many times kills the child. The second one ends it without saving, should it still listen."""

_STDERR: Final = 2
"""Where all that a child says goes: the standard output is for what this process was asked for."""

Hung = Callable[[float], bool]
"""Called again and again with the seconds since the last call; True when the child shows no sign of life any more."""


class Ended(NamedTuple):
    """How a child process ended.

    Attributes:
        pid: Its process id.
        returncode: Its exit code; minus the number of the signal that killed it.
        interrupt: What asked this process to end while the child ran; None when nothing did.
        hung: It was stopped because it showed no sign of life.
        pruned: It was stopped because its scores fell behind those of others.
    """

    pid: int
    returncode: int
    interrupt: KeyboardInterrupt | None = None
    hung: bool = False
    pruned: bool = False


Begin = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts a command, or hands it to a process that waits for one."""


def begin(
    command: Sequence[str], *, pass_fds: Sequence[int] = (), output: int | None = None
) -> subprocess.Popen[bytes]:
    """Starts ``command`` as a new process with this one's terminal and environment.

    Args:
        command: What to start.
        pass_fds: Open files that it gets too.
        output: The open file that takes all that it says, in plain lines; None: the standard error of this process,
            where that is open.

    Raises:
        OSError: It cannot be started.
    """
    if output is not None:
        plain = {**os.environ, "NO_COLOR": "1"}
        return subprocess.Popen(command, stdout=output, stderr=output, pass_fds=tuple(pass_fds), env=plain)
    if sys.__stderr__ is None:  # closed from the start; its number may be that of any file by now
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=tuple(pass_fds))
    return subprocess.Popen(command, stdout=_STDERR, pass_fds=tuple(pass_fds))


def never(seconds: float) -> bool:
    """For a child that shows no signs of life: it is never hung."""
    return False


def launch(command: Sequence[str], *, is_hung: Hung = never, begin: Begin = begin) -> Ended:
    """Runs ``command`` with this terminal as its own, and waits for it, whatever signals arrive.

    A scheduler's signal is handed on, and the child saves its state and ends. Ctrl-C reaches the child from the
    terminal. Helpers of the child (data workers) see for themselves that it has gone.

    Args:
        command: The child.
        is_hung: When it says so, the child is asked to end, and killed 30 s later.
        begin: How it starts.

    Raises:
        OSError: The child cannot be started.
    """
    with _HandedOn() as signals:
        child = begin(command)
        signals.hand_on_to(child)
        hung = _wait(child, signals, is_hung)
        return Ended(child.pid, _returncode(child), signals.interrupt, hung)


def _wait(child: subprocess.Popen[bytes], signals: _HandedOn, is_hung: Hung) -> bool:
    """Until the child has ended; True when it was stopped as it hung."""
    while not _ends_within(child, POLL_SECONDS):
        signals.echo()
        # Not by the clock: a process that was halted with Ctrl-Z for a day is not hung.
        if is_hung(POLL_SECONDS):
            logger.warning("stopping process %d", child.pid)
            child.terminate()
            if not _ends_within(child, STOP_SECONDS):
                child.kill()
                _ends_within(child, STOP_SECONDS)
            return True
    return False


def _ends_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _returncode(child: subprocess.Popen[bytes]) -> int:
    # A process that waits for a dead disk or driver outlives even SIGKILL for a while; it still holds its run's lock.
    return -signal.SIGKILL if child.returncode is None else child.returncode


class _HandedOn:
    """While active, signals no longer end this process: they are noted, and go to its child."""

    def __init__(self) -> None:
        self.interrupt: KeyboardInterrupt | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []
        self._ctrl_c = 0
        self._echo_at: float | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _HandedOn:
        # Python allows signal handlers in the main thread only; elsewhere the caller's handling stays.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *SCHEDULER_SIGNALS):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def hand_on_to(self, child: subprocess.Popen[bytes]) -> None:
        """From now on signals go to ``child``, those first that arrived while it was started."""
        self._child = child
        for number in self._waiting:
            child.send_signal(number)

    def echo(self) -> None:
        """Sends SIGTERM some time after Ctrl-C, for a child that did not get it: it does no harm to one that did."""
        if self._child is not None and self._echo_at is not None and time.monotonic() >= self._echo_at:
            self._echo_at = None
            self._child.send_signal(signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupt = self.interrupt or interruption(number)
        if number == signal.SIGINT:
            self._ctrl_c += 1
            self._echo_at = time.monotonic() + ECHO_SECONDS
            if self._child is not None and self._ctrl_c >= _INSIST:
                self._child.kill()
        elif self._child is None:
            self._waiting.append(number)
        else:
            self._child.send_signal(number)


def export_command(checkpoint: Path) -> list[str]:
    """The child process that exports ``checkpoint`` to ONNX and checks it."""
    return [sys.executable, "-m", "human_edge_detection", "export", "--checkpoint", str(checkpoint)]
