"""Streams of batches. What comes is a function of (seed, position), whatever the number of workers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import closing, contextmanager
from itertools import tee
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.data.mixed import MixedDataset
from human_edge_detection.data.transport import Arrived, Way, choose_way, make_ready, warn_once
from human_edge_detection.errors import DataError, TrainingError
from human_edge_detection.signals import obey_only_parent
from human_edge_detection.structures import Batch

_ORDER_STREAM = 0x0DE5
_LOOK_SECONDS: Final = 5.0
"""So often the process that waits for a batch looks whether its workers are alive."""
_TIMED_OUT: Final = "DataLoader timed out"
"""How the error of torch begins when no batch came for so long."""
_RAISED_BY_WORKER: Final = "Caught "
"""How an error begins that torch hands on from a worker: a bug, as those of the user are returned."""
_PATIENCE_SECONDS: Final = 1800.0
"""No batch of any worker for so long is the end: far beyond what a slow disk and large images take."""
Key = tuple[int, int]
"""Epoch and index of a sample."""


class BatchLoader:
    """Batches for given lists of keys, each time in the same order; ``len()`` is their number.

    Iterating raises :class:`~human_edge_detection.errors.DataError` as the dataset did, also out of a worker, and
    :class:`~human_edge_detection.errors.TrainingError` when a worker was killed, or no worker makes anything any more.
    """

    def __init__(
        self,
        dataset: PersonDataset | MixedDataset,
        batches: Iterable[list[Key]],
        *,
        num_workers: int,
        pin: bool = False,
        keep_workers: bool = False,
    ) -> None:
        """A loader of ``batches`` of ``dataset``.

        Args:
            dataset: The samples.
            batches: Their keys.
            num_workers: Processes that make the batches, or fewer where the system has no room; 0: this one does.
            pin: Hand them over in page-locked memory, for a GPU; it makes a CUDA context.
            keep_workers: The processes stay for the next time, until this loader goes: they take seconds to start
                where a system does not fork.
        """
        self.dataset = dataset
        self._batches = batches
        self._num_workers = num_workers
        self._pin = pin
        self._keeps_workers = keep_workers
        self._kept: tuple[Way, DataLoader[Batch | Arrived | DataError]] | None = None

    def part_of(self, number: int, count: int) -> BatchLoader:
        """Every ``count``-th whole batch from number ``number`` on: the share of one of ``count`` processes."""
        if count == 1:
            return self
        mine = list(self._batches)[number::count]
        return BatchLoader(
            self.dataset, mine, num_workers=self._num_workers, pin=self._pin, keep_workers=self._keeps_workers
        )

    def __len__(self) -> int:
        assert isinstance(self._batches, Sized)
        return len(self._batches)

    def __iter__(self) -> Generator[Batch]:
        way = choose_way(self._num_workers) if self._kept is None else self._kept[0]
        # Once closed, this generator lets the workers go, unless they are kept.
        for made in _watched(self._start(way), by_workers=way.workers > 0):
            if isinstance(made, DataError):
                raise made
            batch = made
            if isinstance(made, Arrived):
                batch = made.batch
                if made.shortage is not None:
                    _tell(made.shortage, self._num_workers)
            # Pinning memory turns the tuples of ids into lists.
            yield batch._replace(image_ids=tuple(batch.image_ids), annotation_ids=tuple(batch.annotation_ids))

    def _start(self, way: Way) -> Iterator[Batch | Arrived | DataError]:
        loader = self._loader(way) if self._kept is None else self._kept[1]
        self._kept = (way, loader) if self._keeps_workers else None
        with _no_error_from_signals():
            return iter(loader)

    def _loader(self, way: Way) -> DataLoader[Batch | Arrived | DataError]:
        return DataLoader(
            _CollatingDataset(self.dataset, way),
            batch_sampler=self._batches,
            num_workers=way.workers,
            collate_fn=_as_is,
            worker_init_fn=_start_worker,
            timeout=_LOOK_SECONDS if way.workers else 0,
            pin_memory=self._pin,
            persistent_workers=self._keeps_workers and way.workers > 0,
            generator=torch.Generator(),  # the default one would be drawn from, and training with it disturbed
        )


@contextmanager
def _no_error_from_signals() -> Iterator[None]:
    """Takes back that torch raises, wherever the main thread is, when a worker dies: perhaps while a state is saved.

    Who waits for that worker's batch sees it within :data:`_LOOK_SECONDS`.
    """
    number = getattr(signal, "SIGCHLD", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(number)
    try:
        yield
    finally:
        signal.signal(number, before)


def _watched(arriving: Iterator[Any], *, by_workers: bool) -> Iterator[Any]:
    """What arrives.

    Raises:
        TrainingError: A worker was killed, or nothing came of any of them for very long.
    """
    silent = 0.0
    while True:
        try:
            made = next(arriving)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            if not by_workers or text.startswith(_RAISED_BY_WORKER):
                raise
            pinning = getattr(arriving, "_pin_memory_thread", None)
            if not text.startswith(_TIMED_OUT) or (pinning is not None and not pinning.is_alive()):
                raise TrainingError(
                    f"data workers fail ({text}); often memory: lower --num_workers or --batch_size"
                ) from error
            silent += _LOOK_SECONDS
            if silent >= _PATIENCE_SECONDS:
                raise TrainingError(
                    f"no data worker has made a batch for {silent / 60:.0f} minutes, though they are alive; often a "
                    "disk that does not answer: look at it, then give the same command again, or --num_workers 0"
                ) from error
        else:
            silent = 0.0
            yield made


def _tell(shortage: str, workers: int) -> None:
    warn_once(
        "pipes",
        f"{shortage}: batches of {workers} data workers come through pipes, which takes processor time; start the "
        "container with --shm-size=2g, or lower --num_workers or --batch_size",
    )


class _CollatingDataset(Dataset[Batch]):
    """Makes a whole batch at once. An error is returned, because torch would wrap what a worker raises."""

    def __init__(self, samples: PersonDataset | MixedDataset, way: Way) -> None:
        self._samples = samples
        self._way = way

    def __getitems__(self, keys: list[Key]) -> Any:
        try:
            batch = collate([self._samples[key] for key in keys])
        except DataError as error:
            return error
        return make_ready(batch, shared=self._way.shared) if self._way.workers else batch


def _as_is(made: Any) -> Any:
    return made


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    obey_only_parent()


def epoch_order(length: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of one epoch: a permutation of ``range(length)`` that follows from seed and epoch."""
    return np.random.default_rng((seed, epoch, _ORDER_STREAM)).permutation(length)


def images_of_epoch(dataset: PersonDataset | MixedDataset, seed: int, epoch: int) -> NDArray[np.intp]:
    """The indices of one epoch's images, in its order; as many as ``len(dataset)``."""
    order = epoch_order(len(dataset), seed, epoch)
    return dataset.indices(epoch)[order] if isinstance(dataset, MixedDataset) else order


def batches_per_epoch(length: int, batch_size: int) -> int:
    """Number of batches of one epoch; the last may be smaller."""
    return -(-length // batch_size)


def training_batches(
    dataset: PersonDataset | MixedDataset,
    *,
    batch_size: int,
    seed: int,
    start_epoch: int,
    start_batch: int,
    epochs: int,
    num_workers: int,
    pin: bool = False,
) -> Generator[Batch]:
    """All batches from (``start_epoch``, ``start_batch``) to the end of the last epoch, in one stream.

    Args:
        dataset: The samples.
        batch_size: Images in a batch; the last of an epoch may have fewer.
        seed: Seed of the order.
        start_epoch: Epoch to start in, from 0.
        start_batch: Batch of that epoch to start at, from 0.
        epochs: Number of epochs in all, those before ``start_epoch`` included.
        num_workers: Processes that make batches; the stream does not depend on it.
        pin: As for :class:`BatchLoader`.

    Raises:
        DataError: An image cannot be read.
    """
    keys = _keys(dataset, batch_size, seed, start_epoch, start_batch, epochs)
    yield from BatchLoader(dataset, keys, num_workers=num_workers, pin=pin)


def training_parts(
    dataset: PersonDataset | MixedDataset,
    part: tuple[int, int],
    *,
    batch_size: int,
    seed: int,
    start_epoch: int,
    start_batch: int,
    epochs: int,
    num_workers: int,
    pin: bool = False,
) -> Generator[Batch | None]:
    """The part of each batch of :func:`training_batches` that one of several processes trains with.

    None where a batch has too few images for all.

    Args:
        dataset: The samples.
        part: ``(number, count)``: this process, from 0, and how many there are. Each takes every ``count``-th image.
        batch_size: Images in a whole batch.
        seed: Seed of the order.
        start_epoch: Epoch to start in, from 0.
        start_batch: Batch of that epoch to start at, from 0.
        epochs: Number of epochs in all, those before ``start_epoch`` included.
        num_workers: Processes that make batches for this one.
        pin: As for :class:`BatchLoader`.

    Raises:
        DataError: An image cannot be read.
    """
    number, count = part
    whole = _keys(dataset, batch_size, seed, start_epoch, start_batch, epochs)
    mine, sizes = tee(keys[number::count] for keys in whole)
    with closing(iter(BatchLoader(dataset, filter(None, mine), num_workers=num_workers, pin=pin))) as made:
        for keys in sizes:
            yield next(made) if keys else None


def _keys(
    dataset: PersonDataset | MixedDataset, batch_size: int, seed: int, start_epoch: int, start_batch: int, epochs: int
) -> Iterator[list[Key]]:
    for epoch in range(start_epoch, epochs):
        yield from _epoch_keys(dataset, batch_size, seed, epoch, start_batch if epoch == start_epoch else 0)


def _epoch_keys(
    dataset: PersonDataset | MixedDataset, batch_size: int, seed: int, epoch: int, first: int
) -> Iterator[list[Key]]:
    order = images_of_epoch(dataset, seed, epoch)
    for start in range(first * batch_size, len(order), batch_size):
        yield [(epoch, int(index)) for index in order[start : start + batch_size]]


def validation_batches(
    dataset: PersonDataset, *, batch_size: int, num_workers: int, pin: bool = False, keep_workers: bool = False
) -> BatchLoader:
    """Every image once, in the order of the annotation file; can be gone through again and again.

    Arguments as for :class:`BatchLoader`.
    """
    indices = range(len(dataset))
    keys = [[(0, index) for index in indices[start : start + batch_size]] for start in indices[::batch_size]]
    return BatchLoader(dataset, keys, num_workers=num_workers, pin=pin, keep_workers=keep_workers)
