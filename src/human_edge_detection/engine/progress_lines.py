"""A line in the log now and then, for what takes long before a training or beside one."""

from __future__ import annotations

import logging
import time
from typing import Final

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 10.0


class ProgressLines:
    """How far something is, and how long it will take."""

    def __init__(self, what: str, count: int, done: int) -> None:
        """Begins now.

        Args:
            what: Is done one by one: ``"soft labels: part"``.
            count: Of these.
            done: So many of them earlier.
        """
        self._what, self._count, self._done, self._first = what, count, done, done
        self._started = self._last = time.monotonic()

    def one_done(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if self._done == self._count or now - self._last > _SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._started) / (self._done - self._first) * (self._count - self._done)
            logger.info("%s %d of %d, %.0f s left", self._what, self._done, self._count, left)
