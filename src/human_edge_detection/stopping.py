"""How a process is asked to end: by Ctrl-C, or by a scheduler that wants the machine back."""

from __future__ import annotations

import signal
import threading
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


def _raise(number: int, frame: FrameType | None) -> None:
    raise interruption(number)
