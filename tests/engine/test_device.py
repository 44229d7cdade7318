import ctypes
import mmap
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from human_edge_detection.engine.device import (
    autocast,
    choose_device,
    choose_precision,
    keep_freed_memory,
    seed_everything,
)
from human_edge_detection.errors import ConfigError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def cuda_is(monkeypatch: pytest.MonkeyPatch, available: bool, *, bf16: bool = True) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_is(monkeypatch, True)
    assert (choose_device("auto"), choose_device("cuda"), choose_device("cpu")) == (CUDA, CUDA, CPU)
    cuda_is(monkeypatch, False)
    assert (choose_device("auto"), choose_device("cpu")) == (CPU, CPU)


def test_cuda_asked_for_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_is(monkeypatch, False)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch sees no CUDA device"):
        choose_device("cuda")


def test_auto_precision_asks_which_is_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fastest(device: torch.device, half: str) -> str:
        asked.append((device.type, half))
        return half if device.type == "cuda" else "fp32"

    monkeypatch.setattr("human_edge_detection.engine.device.fastest_precision", fastest)
    cuda_is(monkeypatch, True)
    assert choose_precision("auto", CUDA) == "bf16"
    cuda_is(monkeypatch, True, bf16=False)
    assert choose_precision("auto", CUDA) == "fp16"
    assert choose_precision("auto", CPU) == "fp32"
    assert asked == [("cuda", "bf16"), ("cuda", "fp16"), ("cpu", "bf16")]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_kept() -> None:
    """What the system takes time for is to give a page to the process: a page that stays resident costs nothing."""
    keep_freed_memory()
    block = torch.ones(2**24)
    held = resident_bytes()
    size = block.nbytes
    del block
    assert held - resident_bytes() < size / 10


@pytest.mark.parametrize(
    ("limit", "kept"), [(2**30, [(-3, 2**30), (-1, 2**31 - 1)]), (2**25, [(-3, 2**25), (-1, 2**31 - 1)]), (2**19, [])]
)
def test_an_old_glibc_keeps_what_it_can(
    monkeypatch: pytest.MonkeyPatch, limit: int, kept: list[tuple[int, int]]
) -> None:
    """Old releases know a highest threshold; where none is accepted, nothing else may be set either."""
    accepted = []

    def mallopt(parameter: int, value: int) -> int:
        if parameter == -3 and value > limit:
            return 0
        accepted.append((parameter, value))
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert accepted == kept


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_a_named_precision_is_used(wanted: str, device: torch.device) -> None:
    assert choose_precision(wanted, device) == wanted


def test_fp16_needs_a_gpu() -> None:
    assert choose_precision("fp16", CUDA) == "fp16"
    with pytest.raises(ConfigError, match="--precision fp16: not usable for training on a CPU"):
        choose_precision("fp16", CPU)


def test_autocast_computes_in_the_chosen_arithmetic() -> None:
    matrix = torch.ones(2, 2)
    with autocast(CPU, "bf16"):
        assert (matrix @ matrix).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert (matrix @ matrix).dtype == torch.float32


def test_equal_parts_seed_every_generator_alike() -> None:
    def draw(*parts: int) -> tuple[float, float, float]:
        seed_everything(*parts)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(2, 1), draw(12), draw(1, 3)}) == 4
