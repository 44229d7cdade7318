"""How long a training takes for an optimizer update, all that an epoch has beside its updates included."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts from the end of the first update of this process, as that one waits for data workers to start.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._from: tuple[int, float] | None = None
        self._last = (-1, -1)
        self.seconds_per_step: float | None = None
        """None before the second update."""

    def is_at(self, step: int, epoch: int) -> None:
        """The run has made ``step`` updates and completed ``epoch`` epochs.

        What comes between the last update and the end of the run (counts of each image) does not change the pace.
        """
        if (step, epoch) == self._last:
            return
        now = self._clock()
        if self._from is None:
            if self._last != (-1, -1) and step > self._last[0]:
                self._from = (step, now)
        elif step > self._from[0]:
            self.seconds_per_step = (now - self._from[1]) / (step - self._from[0])
        self._last = (step, epoch)
