"""Which arithmetic trains fastest: of a GPU it is known, of a processor it is measured once, then remembered."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from human_edge_detection.errors import StorageError
from human_edge_detection.files.cache import cache_folder, read_cached
from human_edge_detection.files.write import make_folder, write_json

Precision = Literal["fp32", "bf16", "fp16"]

logger = logging.getLogger(__name__)

LEAST_GAIN: Final = 1.15
"""How many times as fast as float32 half precision must be to be worth its rounding."""
_ROUNDS: Final = 5
_HOPELESS: Final = 0.5
"""A gain after two rounds with which the others are spared: without units for it half precision takes seconds."""
_FILE: Final = "precision.json"


class _Measured(BaseModel):
    """What is remembered of one machine."""

    model_config = ConfigDict(extra="forbid")

    machine: str
    gain: float
    precision: Precision


def precision_of_gpu(capability: tuple[int, int]) -> Precision:
    """The arithmetic for an NVIDIA GPU of this compute capability.

    It is not measured: a step that is small enough to be measured in passing is bound by its launches, of which half
    precision has more. bf16 has units from 8.0 on (Ampere), float16 from 7.0 on (Volta, Turing).
    """
    if capability >= (8, 0):
        return "bf16"
    return "fp16" if capability >= (7, 0) else "fp32"


def precision_of_cpu() -> Precision:
    """``fp32`` or ``bf16``, whichever makes the quicker training step on this processor.

    The first time it takes about a second; the output is kept in the user's caches, for this processor and version of
    PyTorch. Deleting it is always allowed.
    """
    machine = _machine()
    key = hashlib.sha256(machine.encode()).hexdigest()[:16]
    folder = cache_folder()
    file = folder / _FILE if folder is not None else None
    known = read_cached(dict[str, _Measured], file) or {}
    if key in known:
        return known[key].precision
    gain = measure_gain()
    precision: Precision = "bf16" if gain >= LEAST_GAIN else "fp32"
    logger.info("--precision auto: bf16 is %.2f times as fast as fp32 here; using %s", gain, precision)
    if file is not None:
        known[key] = _Measured(machine=machine, gain=round(gain, 3), precision=precision)
        try:
            make_folder(file.parent)
            write_json(file, {name: entry.model_dump() for name, entry in known.items()})
        except StorageError as error:
            logger.info("measured again next time: %s", error)
    return precision


def measure_gain() -> float:
    """Speed of a small training step in bf16 divided by that in float32, both taking turns, quickest of each."""
    step = _small_step()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with _one_thread():
        for round_number in range(_ROUNDS):
            if round_number >= 2 and _gain(seconds) < _HOPELESS:
                break
            for in_half, taken in seconds.items():
                taken.append(_seconds(partial(step, in_half)))
    return _gain(seconds)


def _gain(seconds: Mapping[bool, Sequence[float]]) -> float:
    return min(seconds[False]) / min(seconds[True])


def _small_step() -> Callable[[bool], None]:
    """A step of what a U-Net is made of, in half precision or not. It touches no random numbers but its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.SiLU()
        )
    model.to(memory_format=torch.channels_last)
    images: Tensor = torch.randn(4, 32, 96, 96, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)

    def step(in_half: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_half):
            output = model(images)
        output.float().square().mean().backward()

    return step


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, whose own time other processes cannot stretch: what is measured here is kept for long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(action: Callable[[], None]) -> float:
    started = time.thread_time()
    action()
    return time.thread_time() - started


def _machine() -> str:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    there = sorted(name for name, value in capabilities.items() if value is True)
    return " ".join(("cpu bf16", torch.__version__, torch.backends.cpu.get_cpu_capability(), *there))
