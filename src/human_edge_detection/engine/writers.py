"""What a run writes down while it trains: TensorBoard events and metrics.jsonl, one line an epoch."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from human_edge_detection.errors import CheckpointError
from human_edge_detection.storage import write_atomically


class RunWriters:
    """TensorBoard and metrics.jsonl of one run; a context manager.

    Args:
        log_dir: Folder of the TensorBoard events.
        metrics_file: metrics.jsonl; lines are appended (see :func:`truncate_metrics` for a resumed run).
        purge_step: The step after the last one that a resumed run keeps; TensorBoard forgets what an earlier process
            wrote from there on. None for a run that starts.
    """

    def __init__(self, log_dir: Path, metrics_file: Path, *, purge_step: int | None) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        metrics_file.parent.mkdir(parents=True, exist_ok=True)
        self._metrics = metrics_file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(log_dir), purge_step=purge_step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends values to TensorBoard under their names; those that are not finite are sent too, it marks them."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def epoch(self, record: Mapping[str, object], step: int) -> None:
        """Appends ``record`` to metrics.jsonl, on the disk when this returns, and sends its numbers to TensorBoard.

        Args:
            record: Flat, with the number of the epoch under ``epoch``; a value that is not finite is written as null.
            step: Optimizer updates done.
        """
        plain = {name: _plain(value) for name, value in record.items()}
        self._metrics.write(json.dumps(plain, allow_nan=False) + "\n")
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        numbers = {name: float(value) for name, value in plain.items() if isinstance(value, (int, float))}
        self.scalars(step, numbers)

    def picture(self, step: int, name: str, rgb: NDArray[np.uint8]) -> None:
        """Sends an ``(H, W, 3)`` RGB picture to TensorBoard."""
        self._board.add_image(name, rgb, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is still in memory and closes the files."""
        self._board.close()
        self._metrics.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def truncate_metrics(metrics_file: Path, last_epoch: int) -> None:
    """Keeps the records of epochs up to ``last_epoch``, for a run that goes on after it.

    A last line that a killed process left unfinished is dropped. A missing file stays missing.

    Raises:
        CheckpointError: An earlier line is damaged.
    """
    if not metrics_file.exists():
        return
    lines = metrics_file.read_bytes().splitlines(keepends=True)
    kept = []
    for number, line in enumerate(lines, start=1):
        epoch = _epoch_of(line)
        if epoch is None and number < len(lines):
            raise CheckpointError(
                f"{metrics_file}: line {number} is not a record of an epoch, {line[:60]!r}; "
                "mend or remove the line to resume this run"
            )
        if epoch is not None and epoch <= last_epoch:
            kept.append(line.rstrip(b"\r\n") + b"\n")
    write_atomically(metrics_file, b"".join(kept))


def _epoch_of(line: bytes) -> int | None:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return None
    epoch = record.get("epoch") if isinstance(record, dict) else None
    return epoch if isinstance(epoch, int) else None


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
