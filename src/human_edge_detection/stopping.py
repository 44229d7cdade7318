"""How a process is asked to end: by Ctrl-C, or by a scheduler that wants the machine back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C."""
REQUEUE: Final = 75
"""Exit code after a scheduler's signal (EX_TEMPFAIL of sysexits.h): run the same command again later."""
SCHEDULER_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)


class Terminated(KeyboardInterrupt):
    """A scheduler asked this process to end."""


def interruption(number: int) -> KeyboardInterrupt:
    """What to raise for signal ``number``."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated()


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """The exit code that tells a caller by whom the process was stopped."""
    return REQUEUE if isinstance(interrupt, Terminated) else INTERRUPTED


def heed_scheduler() -> None:
    """From now on a scheduler's signal raises :class:`Terminated`, as Ctrl-C raises ``KeyboardInterrupt``.

    A signal that the caller has set to be ignored (``nohup``) stays ignored. Python allows handlers in the main thread
    only; elsewhere nothing changes.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SCHEDULER_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _raise)


def obey_only(parent: int) -> None:
    """For a helper process: of all who signal it, only its parent can end it.

    Ctrl-C and a scheduler's signal often reach every process of a group. The parent needs its helpers until it has
    saved, and ends them itself.
    """
    asked = (signal.SIGINT, *SCHEDULER_SIGNALS)
    if not hasattr(signal, "sigwaitinfo"):  # macOS tells nobody who sent a signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    threading.Thread(target=_end_when_asked_by, args=(parent, asked), daemon=True).start()


def _end_when_asked_by(parent: int, asked: Iterable[signal.Signals]) -> None:
    while signal.sigwaitinfo(asked).si_pid != parent:
        pass
    os._exit(0)


def _raise(number: int, frame: FrameType | None) -> None:
    raise interruption(number)
