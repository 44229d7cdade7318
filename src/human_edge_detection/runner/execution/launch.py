"""One child process for each run: its own memory and accelerator, and a crash that stays its own."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, TypeAlias, TypeVar

from human_edge_detection.runner.backends.backend import Backend, Ended, J, Work
from human_edge_detection.runner.backends.local import LocalBackend
from human_edge_detection.signals import SCHEDULER_SIGNALS, STOP_SECONDS, interruption

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.1
"""Between two questions whether a child has ended."""
LOOK_SECONDS: Final = 1.0
"""Between two looks at its signs of life."""
ECHO_SECONDS: Final = 5.0
"""After Ctrl-C a child has so long to end; one that did not get it (``kill -INT`` of this process) gets SIGTERM."""
_INSIST: Final = 3
"""Ctrl-C so many times kills the children. The second one ends them without saving, should they still listen."""

T = TypeVar("T")
Steps: TypeAlias = Generator[float, None, T]
"""What is done bit by bit, beside others: it yields after how many seconds it wants to go on, and returns a ``T``."""

Hung = Callable[[float], bool]
"""Called again and again with the seconds since the last call; True when the child shows no sign of life any more."""


def never(seconds: float) -> bool:
    """For a child that shows no signs of life: it is never hung."""
    return False


def launch(command: Sequence[str], *, is_hung: Hung = never) -> Ended:
    """Runs ``command`` on this machine with this terminal as its own, and waits for it, whatever signals arrive.

    Args:
        command: The child.
        is_hung: When it says so, the child is asked to end, and killed 30 s later.

    Raises:
        BackendError: The child cannot be started.
    """
    with HandedOn() as signals, closing(LocalBackend()) as backend:
        job = backend.submit(Work(Path(command[0]).name, Path(), tuple(command)))
        steps = until_it_ends(backend, job, is_hung)
        hung = False
        while True:
            try:
                time.sleep(next(steps))
            except StopIteration as end:
                hung = end.value
                break
            signals.hand_on(backend, [job])
        return backend.result(job)._replace(interrupt=signals.interrupt, hung=hung)


def until_it_ends(backend: Backend[J], job: J, is_hung: Hung) -> Steps[bool]:
    """Until ``job`` has ended; True when it was stopped as ``is_hung`` said so."""
    since = 0.0
    while not backend.poll(job):
        yield TICK_SECONDS
        since += TICK_SECONDS
        if since < LOOK_SECONDS:
            continue
        # Not by the clock: a process that was halted with Ctrl-Z for a day is not hung.
        if is_hung(0.0 if backend.is_queued(job) else since):
            yield from _stopped(backend, job)
            return True
        since = 0.0
    return False


def _stopped(backend: Backend[J], job: J) -> Steps[None]:
    """Until ``job`` has ended, or has outlived its time to save and being killed."""
    logger.warning("stopping %s", job.label)
    for at_once in (False, True):
        backend.cancel(job, at_once=at_once)
        waited = 0.0
        while waited < STOP_SECONDS:
            if backend.poll(job):
                return
            yield TICK_SECONDS
            waited += TICK_SECONDS


class HandedOn:
    """While active, signals no longer end this process: they are noted, and handed on to its children.

    A scheduler's signal asks the children to save their state and end. Ctrl-C reaches those of this machine from the
    terminal; after some time it asks them, too, which does no harm to one that was asked before.

    Attributes:
        interrupt: The first signal; None while there was none.
    """

    def __init__(self) -> None:
        self.interrupt: KeyboardInterrupt | None = None
        self._ctrl_c = 0
        self._due: float | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> HandedOn:
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

    def hand_on(self, backend: Backend[J], jobs: Sequence[J]) -> None:
        """Asks ``jobs`` to end, or kills them, as far as that is due; to be called again and again."""
        if self._ctrl_c >= _INSIST:
            self._ctrl_c = 0
            for job in jobs:
                backend.cancel(job, at_once=True)
        elif self._due is not None and time.monotonic() >= self._due:
            self._due = None
            for job in jobs:
                backend.cancel(job)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupt = self.interrupt or interruption(number)
        self._due = time.monotonic()
        if number == signal.SIGINT:
            self._ctrl_c += 1
            self._due += ECHO_SECONDS


def export_command(checkpoint: Path) -> list[str]:
    """The child process that exports ``checkpoint`` to ONNX and checks it."""
    return [sys.executable, "-m", "human_edge_detection", "export", "--checkpoint", str(checkpoint)]
