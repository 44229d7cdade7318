"""What a run writes down while it trains: TensorBoard events, a tracker's, and metrics.jsonl, one line an epoch."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from human_edge_detection.engine.tracker import Tracker
from human_edge_detection.errors import StorageError
from human_edge_detection.files.strict_json import strict_json
from human_edge_detection.files.write import delete, make_folder, write_atomically

logger = logging.getLogger(__name__)

_START: Final = ".from_step_"
_PNG_SIZE: Final = slice(16, 24)
"""Where a PNG file says how wide and high it is."""


class RunWriters:
    """TensorBoard events of one run, which a tracker gets too; a context manager.

    They are for looking at: when they cannot be written (a full disk), the run goes on without them to the next epoch.
    """

    def __init__(self, log_dir: Path, *, first_step: int, resumed: bool, tracker: Tracker | None = None) -> None:
        """Forgets what earlier processes of the run wrote from ``first_step`` on.

        Args:
            log_dir: Folder of the events.
            first_step: The first step that this process makes, from 1.
            resumed: Whether there was an earlier process.
            tracker: Closed with the events; None: there is none.
        """
        # Files that hold nothing but forgotten steps go, so that a run which is killed again and again stays small.
        for file in log_dir.glob(f"events.out.tfevents.*{_START}*"):
            start = file.name.rpartition(_START)[2]
            if start.isdigit() and int(start) >= first_step:
                delete(file)
        self._log_dir = log_dir
        self._tracker = tracker
        self._suffix = f"{_START}{first_step}"
        self._board: SummaryWriter | None = None
        self._send(lambda board: None, purge_step=first_step if resumed else None)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends values to TensorBoard under their names; those that are not finite are sent too, it marks them."""

        def send(board: SummaryWriter) -> None:
            for name, value in values.items():
                board.add_scalar(name, value, step)

        if self._board is not None:
            self._send(send)
        if self._tracker is not None:
            self._tracker.scalars(step, values)

    def epoch(self, record: Mapping[str, object], step: int) -> None:
        """Sends the numbers of an epoch's record to TensorBoard.

        Args:
            record: Flat, with the number of the epoch under ``epoch``.
            step: Optimizer updates done.
        """
        numbers = {name: float(value) for name, value in record.items() if isinstance(value, (int, float))}
        self._send(lambda board: None)  # opens it again when it had failed
        if self._tracker is not None:
            self._tracker.open()
        self.scalars(step, numbers)

    def hyperparameters(self, values: Mapping[str, object], scores: Mapping[str, float], step: int) -> None:
        """Sends what TensorBoard's page HParams compares runs by: settings, and the scores that came of them.

        Args:
            values: Settings by dotted path; what is neither number nor text is sent as JSON, None is left out.
            scores: Final scores by name.
            step: Optimizer updates done.
        """
        plain = {
            name: value if isinstance(value, int | float | str) else strict_json(value)
            for name, value in values.items()
            if value is not None
        }
        final = {f"final/{name}": score for name, score in scores.items()}
        summaries = hparams(plain, final)  # type: ignore[no-untyped-call]
        self.scalars(step, final)

        def send(board: SummaryWriter) -> None:
            for summary in summaries:
                board.file_writer.add_summary(summary)  # type: ignore[attr-defined]

        if self._board is not None:
            self._send(send)

    def figure(self, step: int, name: str, png: bytes) -> None:
        """Sends a figure, an RGB image as PNG, to TensorBoard."""
        width, height = struct.unpack(">II", png[_PNG_SIZE])
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        summary = Summary(value=[Summary.Value(tag=name, image=image)])
        if self._board is not None:
            # ``add_image`` would encode the pixels anew.
            self._send(lambda board: board.file_writer.add_summary(summary, step))  # type: ignore[attr-defined]

        if self._tracker is not None:
            self._tracker.figure(step, name, png)

    def close(self) -> None:
        """Writes what is still in memory and closes the file."""
        if self._tracker is not None:
            self._tracker.close()
        if self._board is not None:
            self._send(lambda board: board.close())

    def _send(self, action: Callable[[SummaryWriter], None], *, purge_step: int | None = None) -> None:
        try:
            if self._board is None:
                make_folder(self._log_dir)
                folder = str(self._log_dir)
                self._board = SummaryWriter(folder, purge_step=purge_step, filename_suffix=self._suffix)
            action(self._board)
        except (OSError, StorageError) as error:
            # TensorBoard hands on what its writing thread ran into, and that thread is gone.
            self._board = None
            logger.warning("TensorBoard events of this epoch are lost: %s", getattr(error, "strerror", None) or error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SilentWriters(RunWriters):
    """For a process of a run whose first process writes."""

    def __init__(self) -> None:
        """Writes nothing."""
        self._tracker = None
        self._board = None

    def _send(self, action: Callable[[SummaryWriter], None], *, purge_step: int | None = None) -> None:
        pass


def write_metrics(metrics_file: Path, history: Iterable[Mapping[str, object]]) -> None:
    """Replaces metrics.jsonl by the records of ``history``, one line an epoch; a value that is not finite is null.

    Raises:
        StorageError: It cannot be written.
    """
    lines = (strict_json(dict(record)) for record in history)
    write_atomically(metrics_file, "".join(f"{line}\n" for line in lines).encode())
