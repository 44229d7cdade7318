"""Whether a training still shows signs of life, from its status.json alone."""

from __future__ import annotations

import logging

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.artifacts import is_exported
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section

logger = logging.getLogger(__name__)


def last_status(paths: RunPaths) -> RunStatus | None:
    """The status of a run; None when there is none, or none that can be read."""
    try:
        return read_section(RunStatus, paths.status)
    except (CheckpointError, OSError):
        return None


class Heartbeat:
    """Counts how long a run has shown no sign of life.

    A training rewrites its status every 10 s while it checks images, measures its teacher, makes steps, validates or
    counts per image; one that hangs does not. An export gives no signs and is waited for.

    Args:
        paths: The run.
        minutes: Without a sign of life it is hung after so long, counted from now until the first; 0: never.
        exports: Whether the same process exports what it has trained.
    """

    def __init__(self, paths: RunPaths, minutes: float, *, exports: bool = False) -> None:
        self._paths = paths
        self._exports = exports
        self._patience = minutes * 60.0
        self._silent = 0.0
        self._last = self._beat()

    def is_hung(self, seconds: float) -> bool:
        """Whether there has been no sign of life for too long, ``seconds`` after the last call."""
        beat = self._beat()
        self._silent = 0.0 if beat != self._last or self._is_exporting() else self._silent + seconds
        self._last = beat
        hung = 0.0 < self._patience <= self._silent
        if hung:
            logger.error("no sign of life for %.0f s in %s", self._silent, self._paths.root)
        return hung

    def _is_exporting(self) -> bool:
        status = last_status(self._paths) if self._exports else None
        if status is None or status.state != "finished":
            return False
        try:
            return not is_exported(self._paths)
        except CheckpointError:  # a damaged parity.json
            return True

    def _beat(self) -> tuple[int, int] | None:
        status = last_status(self._paths)
        return None if status is None else (status.pid, status.beats)
