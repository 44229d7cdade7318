"""Streams of batches. What comes is a function of (seed, position), whatever the number of workers."""

from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.errors import DataError
from human_edge_detection.signals import obey_only_parent
from human_edge_detection.structures import Batch

_ORDER_STREAM = 0x0DE5
Key = tuple[int, int]
"""Epoch and index of a sample."""


class BatchLoader:
    """Batches for given lists of keys, each time in the same order; ``len()`` is their number.

    Iterating raises :class:`~human_edge_detection.errors.DataError` as the dataset did, also out of a worker.
    """

    def __init__(
        self,
        dataset: PersonDataset,
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
            num_workers: Processes that make the batches; 0 makes them in this one.
            pin: Hand them over in page-locked memory, for a GPU; it makes a CUDA context.
            keep_workers: The processes stay for the next time, until this loader goes: they take seconds to start
                where a system does not fork.
        """
        self.dataset = dataset
        self._loader: DataLoader[Batch | DataError] = DataLoader(
            _CollatingDataset(dataset),
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=_as_is,
            worker_init_fn=_start_worker,
            pin_memory=pin,
            persistent_workers=keep_workers and num_workers > 0,
            generator=torch.Generator(),  # the default one would be drawn from, and training with it disturbed
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Generator[Batch]:
        for made in self._loader:  # once closed, this generator lets the workers go
            if isinstance(made, DataError):
                raise made
            # Pinning memory turns the tuples of ids into lists.
            yield made._replace(image_ids=tuple(made.image_ids), annotation_ids=tuple(made.annotation_ids))


class _CollatingDataset(Dataset[Batch]):
    """Makes a whole batch at once. An error is returned, because torch would wrap what a worker raises."""

    def __init__(self, samples: PersonDataset) -> None:
        self._samples = samples

    def __getitems__(self, keys: list[Key]) -> Batch | DataError:
        try:
            return collate([self._samples[key] for key in keys])
        except DataError as error:
            return error


def _as_is(made: Any) -> Any:
    return made


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    obey_only_parent()


def epoch_order(length: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of one epoch: a permutation of ``range(length)`` that follows from seed and epoch."""
    return np.random.default_rng((seed, epoch, _ORDER_STREAM)).permutation(length)


def batches_per_epoch(length: int, batch_size: int) -> int:
    """Number of batches of one epoch; the last may be smaller."""
    return -(-length // batch_size)


def training_batches(
    dataset: PersonDataset,
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
    keys = (
        _epoch_keys(len(dataset), batch_size, seed, epoch, start_batch if epoch == start_epoch else 0)
        for epoch in range(start_epoch, epochs)
    )
    yield from BatchLoader(dataset, chain.from_iterable(keys), num_workers=num_workers, pin=pin)


def _epoch_keys(length: int, batch_size: int, seed: int, epoch: int, first: int) -> Iterator[list[Key]]:
    order = epoch_order(length, seed, epoch)
    for start in range(first * batch_size, length, batch_size):
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
