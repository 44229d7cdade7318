"""How a process is asked to end: by Ctrl-C, or by a scheduler that wants the machine back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

GO_ON: Final = "interrupted; give the same command again to continue"
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C."""
REQUEUE: Final = 75
"""Exit code after a scheduler's signal (EX_TEMPFAIL of sysexits.h): run the same command again later."""
SCHEDULER_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)
STOP_SECONDS: Final = 30.0
"""Time that a process has to save its state before it is killed."""
_LOOK_SECONDS: Final = 1.0
"""How often a helper looks whether its parent is still there."""


class Terminated(KeyboardInterrupt):
    """A scheduler asked this process to end."""


def interruption(number: int) -> KeyboardInterrupt:
    """What to raise for signal ``number``."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated()


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """The exit code that tells a caller by whom the process was stopped."""
    return REQUEUE if isinstance(interrupt, Terminated) else INTERRUPTED


def heed_signals() -> None:
    """From now on a scheduler's signal raises :class:`Terminated`, as Ctrl-C raises ``KeyboardInterrupt``.

    In the middle of an import both end the process at once: libraries swallow what is raised there, or cannot be
    imported a second time. Nothing is lost by that: what is on the disk is whole at any moment.

    A signal that the caller has set to be ignored (``nohup``) stays ignored. Python allows handlers in the main thread
    only; elsewhere nothing changes.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *SCHEDULER_SIGNALS):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)


def end_at_once() -> None:
    """From now on Ctrl-C ends this process without a word, as a scheduler's signal does that nobody handles.

    For a child that has nothing to save.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def obey_only_parent() -> None:
    """For a helper process: of all who signal it, only its parent can end it, and it ends with its parent.

    Ctrl-C and a scheduler's signal often reach every process of a group. The parent needs its helpers until it has
    saved, and ends them itself; killed, it cannot, and they would stay for ever.
    """
    parent = multiprocessing.parent_process()
    asked = (signal.SIGINT, *SCHEDULER_SIGNALS)
    if parent is None or not hasattr(signal, "sigtimedwait"):  # macOS tells nobody who sent a signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    threading.Thread(target=_end_with, args=(parent, asked), daemon=True).start()


def end_with(parent: int) -> None:
    """For a child that nobody could ask to end without its parent: this process ends soon after process ``parent``.

    It saves its state as after a scheduler's signal, and is killed if that takes longer than 30 s.
    """
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(REQUEUE)


def _end_with(parent: BaseProcess, asked: Iterable[signal.Signals]) -> None:
    while parent.is_alive():
        received = signal.sigtimedwait(asked, _LOOK_SECONDS)
        if received is not None and received.si_pid == parent.pid:
            break
    os._exit(0)


def _stop(number: int, frame: FrameType | None) -> None:
    interrupt = interruption(number)
    if _importing(frame):
        with suppress(OSError, ValueError):  # nobody listens any more
            if sys.stderr is not None:
                os.write(sys.stderr.fileno(), f"{GO_ON}\n".encode())
        os._exit(exit_code(interrupt))
    raise interrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
