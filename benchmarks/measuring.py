"""What the benchmarks have in common: taking turns, ratios, exponents, and on what machine it was."""

import math
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

Seconds = dict[str, list[float]]


def take_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> Seconds:
    """Wall seconds of each call, by name, ``rounds`` of each; a first round warms up and is not counted."""
    seconds: Seconds = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """Median over the rounds of first / second: what slows a whole round down slows both."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of log value over log size: 1 is linear, 0 constant."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def cpu_seconds(command: Sequence[str], **options: Any) -> float:
    """User and system time of a child and of its children that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_mb() -> float:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_mb() -> float:
    """Memory that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def processor_kind() -> str:
    """What the speed of a network depends on most; ratios of one kind say nothing about another."""
    import torch

    if torch.cuda.is_available():
        return f"gpu {torch.cuda.get_device_name()}"
    flags = set(processor_line("flags").split())
    kinds = {"amx_bf16": "cpu amx", "avx512f": "cpu avx512", "avx2": "cpu avx2"}
    return next((kind for flag, kind in kinds.items() if flag in flags), "cpu other")


def processor_line(field: str) -> str:
    """A field of the first processor, empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def machine() -> dict[str, Any]:
    """Hardware and versions."""
    import torch

    return {
        "processor": processor_line("model name") or platform.processor(),
        "kind": processor_kind(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def finite(value: float) -> float | None:
    """``value`` for JSON, which has no NaN."""
    return value if math.isfinite(value) else None


def in_a_process(measure: Callable[..., Any], *arguments: Any, method: str = "spawn") -> Any:
    """What ``measure`` answers in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        return pool.submit(measure, *arguments).result()
