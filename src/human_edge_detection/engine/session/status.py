"""status.json of a run: always whole, never older than ten seconds while the run does anything."""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import UTC, datetime
from typing import Final

from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.session.pace import Pace
from human_edge_detection.errors import CheckpointError, HumanEdgeDetectionError, StorageError
from human_edge_detection.files.write import write_json
from human_edge_detection.limits import peak_memory
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, State, read_section

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""Longest time between two signs of life of a run that goes on."""


class StatusFile:
    """Writes status.json."""

    def __init__(self, paths: RunPaths, epochs: int) -> None:
        self._path = paths.status
        self._epochs = epochs
        self._started = now()
        self._beats = 0
        self._written_at = 0.0
        self._epoch = 0
        self._step = 0
        self._steps: int | None = None
        self._pace = Pace()
        try:
            before = read_section(RunStatus, paths.status)
        except CheckpointError:  # damaged; the first write replaces it
            before = None
        if before is not None:
            self._epoch, self._step = before.epoch, before.step

    def alive(self) -> None:
        """A sign of life of a run that is about to begin or to go on, alike; nothing where it has no folder yet."""
        self._beats += 1
        if time.monotonic() - self._written_at >= BEAT_SECONDS and self._path.parent.is_dir():
            self._try_to_write("running", None)

    def begins(self, progress: TrainingProgress, steps: int) -> None:
        """The run goes on from ``progress``, with ``steps`` updates in all; says so at once.

        Raises:
            StorageError: It cannot be written.
        """
        self._steps = steps
        self._pace.is_at(progress.step, progress.epoch)
        self.write("running", progress)

    def running(self, progress: TrainingProgress) -> None:
        """A sign of life; written when the last one is ten seconds old and after each epoch, if the disk takes it."""
        self._beats += 1
        self._pace.is_at(progress.step, progress.epoch)
        if progress.epoch != self._epoch or time.monotonic() - self._written_at >= BEAT_SECONDS:
            self._try_to_write("running", progress)

    def ended(self, error: BaseException, progress: TrainingProgress | None) -> None:
        """The run was interrupted, or failed with ``error``, at ``progress``; None: before it got anywhere."""
        if isinstance(error, KeyboardInterrupt):
            self._try_to_write("interrupted", progress)
        else:
            message = str(error) if isinstance(error, HumanEdgeDetectionError) else f"{type(error).__name__}: {error}"
            self._try_to_write("failed", progress, error=message)

    def write(self, state: State, progress: TrainingProgress | None = None, *, error: str | None = None) -> None:
        """Writes ``state`` now.

        Raises:
            StorageError: It cannot be written.
        """
        if progress is not None:
            self._epoch, self._step = progress.epoch, progress.step
        self._written_at = time.monotonic()
        status = RunStatus(
            state=state,
            epoch=self._epoch,
            epochs=self._epochs,
            step=self._step,
            steps=self._steps,
            seconds_per_step=self._pace.seconds_per_step,
            error=error,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=self._started,
            updated=now(),
            peak_bytes=peak_memory(),
            beats=self._beats,
        )
        write_json(self._path, status.model_dump(mode="json"))

    def _try_to_write(self, state: State, progress: TrainingProgress | None, *, error: str | None = None) -> None:
        try:
            self.write(state, progress, error=error)
        except StorageError as problem:
            logger.warning("%s; that the run is %s is not on record", problem, state)


def now() -> str:
    """The time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
