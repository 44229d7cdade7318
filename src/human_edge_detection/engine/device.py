"""Which device and which arithmetic a run uses, and what makes it repeatable."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import random
from typing import Final

import numpy as np
import torch

from human_edge_detection.engine.precision import Precision, precision_of_cpu, precision_of_gpu
from human_edge_detection.errors import BusyError, ConfigError, StorageError
from human_edge_detection.files.cache import cache_folder
from human_edge_detection.files.lock import hold
from human_edge_detection.limits import place_among_many

_KEPT: Final = contextlib.ExitStack()
"""Locks that this process gives back when it ends."""
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; a GPU becomes the current one of this process.

    On a machine with several GPUs ``auto`` and ``cuda`` take the first that no process of this tool has taken, and this
    process keeps it to its end: two batches side by side train on two GPUs. When all are taken, it is the first. Of
    the processes that train one run together, each takes the GPU with its number.

    The current one, as what names no GPU takes memory of that: the thread that fills page-locked memory.

    Raises:
        ConfigError: CUDA asked for and absent, or fewer GPUs than the number says, or than processes train together.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        if wanted == "auto":
            return torch.device("cpu")
        raise ConfigError(f"--device {wanted}: PyTorch sees no CUDA device here; use --device cpu or auto")
    count = torch.cuda.device_count()
    place = place_among_many()
    if place is not None and wanted in ("auto", "cuda"):
        if place.local_total > count:
            raise ConfigError(
                f"{place.local_total} processes of one run on this machine, and PyTorch sees {count} CUDA devices: one "
                "process a device; start fewer, or --device cpu"
            )
        device = torch.device("cuda", place.local_number)
    elif wanted in ("auto", "cuda"):
        device = torch.device("cuda", 0 if count == 1 else _own_gpu(count))
    else:
        device = torch.device(wanted)
        if device.index >= count:
            raise ConfigError(f"--device {wanted}: PyTorch sees {count} CUDA devices here, cuda:0 to cuda:{count - 1}")
    torch.cuda.set_device(device)
    return device


@functools.cache
def _own_gpu(count: int) -> int:
    """Number of a GPU that is kept for this process until it ends; 0 when others have taken all."""
    folder = cache_folder()
    if folder is None:
        return 0
    for number in range(count):
        lock = folder / "gpus" / f"{torch.cuda.get_device_properties(number).uuid}.lock"
        try:
            _KEPT.enter_context(hold(lock, f"GPU {number}", advice="give --device cuda:N"))
        except (BusyError, StorageError):
            continue
        return number
    return 0


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The arithmetic for ``auto``: the quickest on the device, float32 or half precision.

    On a GPU it follows from the GPU's kind: bf16 where it has units for it, else fp16 with loss scaling; on a CPU it is
    bf16 where a measurement says so.

    Raises:
        ConfigError: fp16 on a CPU, where its gradients underflow and it is not accelerated; bf16 on a GPU that has no
            units for it, which emulates it slowly and lacks some operators.
    """
    on_cpu = device.type == "cpu"
    if wanted == "fp16" and on_cpu:
        raise ConfigError("--precision fp16: not usable for training on a CPU; use bf16, fp32 or auto")
    if wanted == "auto":
        return precision_of_cpu() if on_cpu else precision_of_gpu(torch.cuda.get_device_capability(device))
    if wanted == "bf16" and not on_cpu:
        major, minor = torch.cuda.get_device_capability(device)
        if precision_of_gpu((major, minor)) != "bf16":
            raise ConfigError(
                f"--precision bf16: this GPU (compute capability {major}.{minor}) only emulates it; use fp16, fp32 or "
                "auto"
            )
    if wanted == "bf16":
        return "bf16"
    return "fp16" if wanted == "fp16" else "fp32"


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, for the tensors of the next step.

    By default glibc hands large blocks back to the system, which fills them with zeros when they are asked for again: a
    tenth of a step on a CPU (``benchmarks/training_step.md``). Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Old versions of glibc refuse a threshold above 32 MiB; to set the other one alone would make things worse, as it
    # ends the threshold's growth from its 128 KiB.
    if mallopt is not None and (mallopt(_M_MMAP_THRESHOLD, 2**30) or mallopt(_M_MMAP_THRESHOLD, 2**25)):
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def make_deterministic(device: torch.device, *, wanted: bool) -> None:
    """Repeatable arithmetic on a CPU always, on a GPU where ``wanted``: its deterministic kernels cost speed.

    Call it before the first CUDA operation, as cuBLAS reads its workspace setting once.
    """
    if device.type == "cpu" or wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
        # Writing NaN into each new tensor would find reads of memory that nobody wrote; it takes a tenth of a step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def seed_everything(*parts: int) -> None:
    """Seeds every generator from a tuple such as (seed, step), so that their state never has to be stored."""
    digest = hashlib.sha256(",".join(map(str, parts)).encode()).digest()
    seed = int.from_bytes(digest[:4], "little")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
