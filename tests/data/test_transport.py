"""Batches get out of their workers with little shared memory and few open files, and nobody waits for ever."""

import logging
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import _utils

from human_edge_detection.data import loader, transport
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import BatchLoader, training_batches
from human_edge_detection.data.transport import Way, choose_way
from human_edge_detection.errors import TrainingError
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.structures import Batch

MIB = 2**20
PARENT = os.getpid()


@pytest.fixture
def dataset(tiny_coco: Path) -> PersonDataset:
    people = read_annotations(*find_splits(tiny_coco)[0])
    return PersonDataset(people, image_size=(32, 32), mask_size=(8, 8), augmentation=None, max_rois=2, seed=5)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("human_edge_detection"), "propagate", True)
    monkeypatch.setattr(transport, "_said", set())
    return caplog


def stream(dataset: PersonDataset, workers: int) -> list[Batch]:
    return list(
        training_batches(dataset, batch_size=4, seed=5, start_epoch=0, start_batch=0, epochs=2, num_workers=workers)
    )


@pytest.mark.parametrize(
    ("files", "memory", "way", "said"),
    [
        (None, None, Way(4, shared=True), []),
        (1000, 64 * MIB, Way(4, shared=True), []),
        (
            60,
            64 * MIB,
            Way(4, shared=False),
            ["need 160 open files, and 60 more can be opened .*: they come through pipes"],
        ),
        (
            14,
            64 * MIB,
            Way(0, shared=False),
            ["need 32 open files, and 14 more can be opened .*the training process itself"],
        ),
        (1000, 4096, Way(0, shared=False), [r"/dev/shm is full \(4096 bytes are free\).*the training process itself"]),
    ],
)
def test_what_is_short_is_seen_before_a_worker_starts_and_said_once(
    files: int | None,
    memory: int | None,
    way: Way,
    said: list[str],
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "room_for_open_files", lambda wanted: files)
    monkeypatch.setattr(transport, "free_shared_memory", lambda: memory)
    assert [choose_way(4), choose_way(4), choose_way(0)] == [way, way, Way(0, shared=False)]
    assert len(log.messages) == len(said)
    assert all(re.search(*pair) for pair in zip(said, log.messages, strict=True))


def shared_memory_is_full(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transport, "free_shared_memory", lambda: 64 * MIB if os.getpid() == PARENT else 100)


def another_worker_was_quicker(patch: pytest.MonkeyPatch) -> None:
    """As torch says it when the memory is gone between the look and the use."""

    def fail(*_: object) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    patch.setattr(torch.UntypedStorage, "_share_fd_cpu_", fail)


def no_file_can_be_opened(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    patch.setattr("multiprocessing.reduction.DupFd", fail)


@pytest.mark.parametrize(
    ("shortage", "said"),
    [
        (shared_memory_is_full, ["/dev/shm has 0 MiB free, and another batch needs 0 MiB: batches of 1 data workers"]),
        (another_worker_was_quicker, ["/dev/shm has .* free, and another batch needs 0 MiB: batches of"]),
        (no_file_can_be_opened, ["Too many open files: batches of 1 data workers come through pipes"]),
    ],
)
def test_a_batch_that_cannot_be_shared_comes_through_a_pipe(
    dataset: PersonDataset,
    shortage: Callable[[pytest.MonkeyPatch], None],
    said: list[str],
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = stream(dataset, 0)
    shortage(monkeypatch)
    signal.alarm(60)  # it would wait for ever
    try:
        arrived = stream(dataset, 1)
    finally:
        signal.alarm(0)
    assert len(arrived) == len(expected) == 4
    for one, other in zip(arrived, expected, strict=True):
        assert (one.image_ids, one.annotation_ids) == (other.image_ids, other.annotation_ids)
        assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
    assert len(log.messages) == len(said)
    assert all(re.search(*pair) for pair in zip(said, log.messages, strict=True))


class Odd(PersonDataset):
    """Does something else than making its sample number 2 of an epoch."""

    def __init__(self, like: PersonDataset, what: Callable[[], object]) -> None:
        self.__dict__.update(vars(like))
        self.what = what

    def __getitem__(self, key: tuple[int, int]):
        if key[1] == 2:
            self.what()
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda: time.sleep(600), "no data worker has made a batch for 0 minutes, though they are alive; .*disk"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "data workers fail .*; often memory: lower --num_workers"),
        (lambda: os._exit(0), "data workers fail .*; often memory: lower --num_workers"),
    ],
    ids=["sleeps", "is killed", "ends"],
)
def test_a_worker_that_makes_nothing_any_more_ends_the_waiting(
    dataset: PersonDataset, what: Callable[[], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(loader, "_PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    arrived: list[object] = []
    with pytest.raises(TrainingError, match=said) as caught:
        arrived.extend(BatchLoader(Odd(dataset, what), [[(0, 0)], [(0, 1)], [(0, 2)]], num_workers=1))
    assert "\n" not in str(caught.value)
