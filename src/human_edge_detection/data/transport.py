"""How batches get from the data workers to the process that asked for them: shared memory, pipes, or no workers.

A batch that a worker cannot hand over is lost in a thread of its own, and the other side waits for ever. So each is
made ready for the journey before that, where an error can still be dealt with.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, NamedTuple

from torch import Tensor

from human_edge_detection.limits import SHARED_MEMORY, free_shared_memory, room_for_open_files
from human_edge_detection.structures import Batch
from human_edge_detection.wording import gib

logger = logging.getLogger(__name__)

_FILES_OF_A_WORKER: Final = 4
"""Open files that a process has for each of its workers."""
_FILES_OF_A_BATCH: Final = 16
"""One for each tensor that is shared: two images, three masks and rois, boxes, seven heads of soft labels, and which
images and rois are labelled."""
_BATCHES_AHEAD: Final = 2
"""Batches that a worker makes ahead of time."""
_OTHER_FILES: Final = 16
"""Images, logs and checkpoints that are open for a moment."""
_BYTES_OF_LOCKS: Final = 1 << 16
"""Room in shared memory for the locks of the queues to one worker."""
_SPARE_BYTES: Final = 1 << 20

_said: Final[set[str]] = set()
"""What has been warned about in this process."""


class Way(NamedTuple):
    """How batches are made and handed over.

    Attributes:
        workers: Processes that make them; 0: this one does.
        shared: They may come through shared memory.
    """

    workers: int
    shared: bool


class Arrived(NamedTuple):
    """A batch out of a worker; ``shortage`` says why it could not come through shared memory, as it should have."""

    batch: Batch
    shortage: str | None


def choose_way(workers: int) -> Way:
    """The best way for which there are open files and shared memory; a warning says what is missing for a better one.

    Args:
        workers: So many are wanted.
    """
    if workers == 0:
        return Way(0, shared=False)
    for_pipes = workers * _FILES_OF_A_WORKER + _OTHER_FILES
    for_sharing = for_pipes + workers * _BATCHES_AHEAD * _FILES_OF_A_BATCH
    room = room_for_open_files(for_sharing)
    memory = free_shared_memory()
    if room is not None and room < for_pipes:
        warn_once(
            "files",
            f"{workers} data workers need {for_pipes} open files, and {room} more can be opened (ulimit -n): "
            "batches are made by the training process itself, which takes longer",
        )
        return Way(0, shared=False)
    if memory is not None and memory < workers * _BYTES_OF_LOCKS:
        warn_once(
            "locks",
            f"{SHARED_MEMORY} is full ({memory} bytes are free), and data workers need it: batches are made by the "
            "training process itself, which takes longer; free some, or start the container with --shm-size=2g",
        )
        return Way(0, shared=False)
    if room is not None and room < for_sharing:
        warn_once(
            "sharing",
            f"batches of {workers} data workers in shared memory need {for_sharing} open files, and {room} more can be "
            "opened (ulimit -n): they come through pipes, which takes processor time",
        )
    return Way(workers, shared=room is None or room >= for_sharing)


def make_ready(batch: Batch, *, shared: bool) -> _Parcel:
    """``batch`` as a worker returns it: it arrives as :class:`Arrived`.

    Args:
        batch: On the CPU.
        shared: It may go through shared memory, if there is room.
    """
    shortage = _share(batch) if shared else None
    if shared and shortage is None:
        try:
            return _Parcel(bytes(ForkingPickler.dumps(batch)), None)
        except OSError as error:  # too many open files
            shortage = str(error)
    return _Parcel(pickle.dumps(batch), shortage)


def warn_once(kind: str, text: str) -> None:
    """Logs a warning, the first time that this process has one of this kind."""
    if kind not in _said:
        _said.add(kind)
        logger.warning("%s", text)


def _share(batch: Batch) -> str | None:
    """Moves the tensors of ``batch`` into shared memory; what is missing for that, None when they are there."""
    tensors = [tensor for tensor in _tensors(batch) if tensor.numel()]
    need, free = sum(tensor.nbytes for tensor in tensors), free_shared_memory()
    try:
        if free is None or free >= need + _SPARE_BYTES:
            for tensor in tensors:
                tensor.share_memory_()  # type: ignore[no-untyped-call]
            return None
    except (OSError, RuntimeError):  # another worker was quicker, or there is no shared memory at all
        free = free_shared_memory()
    room = "cannot be used" if free is None else f"has {gib(free)} free"
    return f"{SHARED_MEMORY} {room}, and another batch needs {gib(need)}"


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tensors(value)


class _Parcel:
    """A batch that is pickled already, so that nothing can go wrong with it any more; unpickled it is an Arrived."""

    def __init__(self, content: bytes, shortage: str | None) -> None:
        self.content = content
        self.shortage = shortage

    def __reduce__(self) -> tuple[Any, tuple[bytes, str | None]]:
        return _arrive, (self.content, self.shortage)


def _arrive(content: bytes, shortage: str | None) -> Arrived:
    return Arrived(ForkingPickler.loads(content), shortage)
