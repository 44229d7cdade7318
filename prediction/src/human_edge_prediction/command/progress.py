"""How far a command is: one line that changes on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

_TERMINAL_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 30.0
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Counts images; speed is that of all so far."""

    def __init__(self, stream: TextIO, total: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to count.

        Args:
            stream: Where lines go.
            total: Images in all; None: nobody knows.
            clock: Seconds.
        """
        self._stream, self._total, self._clock = stream, total, clock
        self._is_terminal = stream.isatty()
        self._begun = self._shown = clock()
        self._has_line = False
        self.done = 0

    def begin(self) -> None:
        """Counts the time from now on."""
        self._begun = self._shown = self._clock()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return max(self._clock() - self._begun, 1e-6)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / self.seconds

    @property
    def speed(self) -> str:
        """In words."""
        return f"{self.rate:.{0 if self.rate >= 100 else 1 if self.rate >= 1 else 2}f} images/s"

    def advance(self) -> None:
        """One image more."""
        self.done += 1
        now = self._clock()
        if now - self._shown >= (_TERMINAL_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._shown = now
            self._stream.write(f"{_CLEAR}{self._line()}" if self._is_terminal else f"{self._line()}\n")
            self._stream.flush()
            self._has_line = self._is_terminal

    def say(self, line: str) -> None:
        """Writes a line that stays."""
        self.clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Takes the line away that changes."""
        if self._has_line:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._has_line = False

    def _line(self) -> str:
        rate = self.speed
        if self._total is None:
            return f"{self.done} images, {rate}"
        left = max(self._total - self.done, 0) / self.rate
        return f"{self.done} of {self._total} images, {rate}, {shown_time(left)} left"


def shown_time(seconds: float) -> str:
    """``1:02:03``, or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
