"""Which device and which arithmetic a run uses, and what makes it repeatable."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import random
from typing import Final, Literal

import numpy as np
import torch

from human_edge_detection.engine.precision import fastest_precision
from human_edge_detection.errors import ConfigError

Precision = Literal["fp32", "bf16", "fp16"]
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: CUDA asked for and absent.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("--device cuda: PyTorch sees no CUDA device here; use --device cpu or auto")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The arithmetic for ``auto``: the quickest on the device, float32 or half precision, as measured.

    On a GPU half precision is bf16 where it has bf16 units, else fp16 with loss scaling; on a CPU it is bf16.

    Raises:
        ConfigError: fp16 on a CPU, where its gradients underflow and it is not accelerated.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError("--precision fp16: not usable for training on a CPU; use bf16, fp32 or auto")
    if wanted == "auto":
        has_bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported()
        wanted = fastest_precision(device, "bf16" if has_bf16 else "fp16")
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
