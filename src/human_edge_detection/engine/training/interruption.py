"""Signals between two steps, never inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from human_edge_detection.signals import SCHEDULER_SIGNALS, interruption


class Interruption:
    """While active, Ctrl-C and a scheduler's signal are only noted; a second Ctrl-C interrupts at once.

    A scheduler may well signal twice, the process itself and its group, and still wants the state saved.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        """The signal that asked for the end."""
        self._at_once = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        # Python allows signal handlers in the main thread only; elsewhere the caller's handling stays.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *SCHEDULER_SIGNALS):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _request(self, number: int, frame: FrameType | None) -> None:
        again = self.requested is not None and number == signal.SIGINT
        self.requested = self.requested or number
        if again or self._at_once:
            raise interruption(number if again else self.requested)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Here a signal interrupts where it arrives: for waiting that may take for ever, and that changes nothing."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Raises ``KeyboardInterrupt`` (:class:`Terminated` for a scheduler's signal) when the end was asked for."""
        if self.requested is not None:
            raise interruption(self.requested)
