import ctypes
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from human_edge_detection.engine import device as module
from human_edge_detection.engine.device import (
    autocast,
    choose_device,
    choose_precision,
    keep_freed_memory,
    seed_everything,
)
from human_edge_detection.errors import ConfigError
from human_edge_detection.files.lock import hold

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def current() -> list[torch.device]:
    """What was made the current GPU, one after the other."""
    return []


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, current: list[torch.device]) -> Iterator[Callable[..., None]]:
    """Makes PyTorch say that there are so many GPUs of a compute capability."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def there_are(count: int, capability: tuple[int, int] = (8, 0)) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"gpu-{number}"))

    module._own_gpu.cache_clear()
    monkeypatch.setattr(module, "_KEPT", kept := ExitStack())
    yield there_are
    kept.close()
    module._own_gpu.cache_clear()


def test_auto_takes_the_gpu_where_there_is_one(gpus: Callable[..., None]) -> None:
    gpus(1)
    assert [choose_device(name) for name in ("auto", "cuda", "cuda:0", "cpu")] == [CUDA, CUDA, CUDA, CPU]
    gpus(0)
    assert (choose_device("auto"), choose_device("cpu")) == (CPU, CPU)


def test_a_gpu_asked_for_and_absent_is_an_error(gpus: Callable[..., None]) -> None:
    gpus(0)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch sees no CUDA device"):
        choose_device("cuda")
    gpus(2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="--device cuda:2: PyTorch sees 2 CUDA devices here, cuda:0 to cuda:1"):
        choose_device("cuda:2")


def test_of_several_gpus_auto_takes_one_that_nobody_has_taken(gpus: Callable[..., None], tmp_path: Path) -> None:
    gpus(2)
    lock = tmp_path / "human-edge-detection" / "gpus" / "gpu-0.lock"
    with hold(lock, "GPU 0", advice=""):
        assert [choose_device("auto") for _ in range(2)] == [torch.device("cuda:1")] * 2, "and this process keeps it"
    module._own_gpu.cache_clear()
    assert choose_device("cuda") == torch.device("cuda:0")
    module._own_gpu.cache_clear()
    assert choose_device("cuda") == torch.device("cuda:0"), "all are taken: the first"


def test_the_chosen_gpu_is_the_current_one_and_a_cpu_leaves_the_gpus_alone(
    gpus: Callable[..., None], current: list[torch.device]
) -> None:
    """The thread that fills page-locked memory takes some of the current GPU's, which by default is the first."""
    gpus(2)
    assert choose_device("cpu") == CPU and not current
    assert [choose_device("cuda:1")] == current
    with pytest.raises(ConfigError):
        choose_device("cuda:2")
    assert choose_device("auto") == current[1] and len(current) == 2


def test_auto_precision_follows_from_the_device(gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "precision_of_cpu", lambda: "fp32")
    found = []
    for capability in ((6, 1), (7, 5), (9, 0)):
        gpus(1, capability)
        found.append(choose_precision("auto", CUDA))
    assert (*found, choose_precision("auto", CPU)) == ("fp32", "fp16", "bf16", "fp32")


def test_bf16_is_refused_where_it_is_emulated(gpus: Callable[..., None]) -> None:
    gpus(1, (7, 5))
    with pytest.raises(ConfigError, match="only emulates it; use fp16, fp32 or auto"):
        choose_precision("bf16", CUDA)


FREES_A_BLOCK = """
import os, torch
from pathlib import Path
from human_edge_detection.engine.device import keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

keep_freed_memory()
block = torch.ones(2**24)
held, size = resident(), block.nbytes
del block
print((held - resident()) / size)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_kept() -> None:
    """What the system takes time for is to give a page to the process: a page that stays resident costs nothing.

    In a process of its own: what other tests have left in the heap decides where the block lies.
    """
    given_back = subprocess.run([sys.executable, "-c", FREES_A_BLOCK], capture_output=True, text=True, check=True)
    assert float(given_back.stdout) < 0.1


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
def test_a_named_precision_is_used(wanted: str, device: torch.device, gpus: Callable[..., None]) -> None:
    gpus(1)
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
