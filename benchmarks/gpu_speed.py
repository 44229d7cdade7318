"""The parts of ``gpu_check.py`` that measure images per second."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from gpu_setting import STEPS, Found, Setting
from plain_loop import plain_step

from human_edge_detection.engine.build import build_distillation_loss, build_loss, build_model
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.structures import Batch


def throughput(setting: Setting) -> Found:
    """Images per second of a distilled step, ours and the plain loop's, batches at hand; they take turns."""
    on_gpu = setting.device.type == "cuda"
    precisions: tuple[str, ...] = ("fp32", *setting.halves[:1], "auto") if on_gpu else ("fp32",)
    found: Found = {"verdicts": {}}
    for size in (2,) if setting.tiny else (8, 32, 128):
        try:
            rates, busy = _rates(setting, size, precisions)
        except torch.OutOfMemoryError:
            found[f"batch {size}"] = "does not fit"
            break
        found[f"batch {size}"] = rates
        best = max(rates[name] for name in precisions)
        if busy is not None:
            found[f"batch {size}"] |= {"GPU busy": busy}
            if size >= 32:
                found["verdicts"][f"batch {size}: auto is within 10 % of the best"] = rates["auto"] >= 0.9 * best
            found["verdicts"][f"batch {size}: ours is not slower than the plain loop"] = best >= rates["plain"]
            if size == 128:
                found["verdicts"]["batch 128: the GPU is busy 80 % of the time"] = busy >= 0.8
            found["peak_gib"] = round(torch.cuda.max_memory_allocated(setting.device) / 2**30, 1)
            torch.cuda.empty_cache()
        setting.report(found)
    return found


def _rates(setting: Setting, size: int, precisions: Sequence[str]) -> tuple[dict[str, float], float | None]:
    """Images per second by way, and the share of the time in which the GPU is busy; None on a CPU."""
    trainers = {
        name: setting.trainer(setting.config(batch_size=size, precision=name), f"speed_{name}_{size}")
        for name in precisions
    }
    batches = setting.batches(next(iter(trainers.values())), 2)
    steps: dict[str, Callable[[Batch], Any]] = {
        name: lambda batch, trainer=trainer: trainer.train_step([batch])  # type: ignore[misc]
        for name, trainer in trainers.items()
    }
    steps["plain"] = _plain(setting, size)
    seconds = _take_turns(setting, steps, batches)
    rates = {name: round(size / statistics.median(taken), 1) for name, taken in seconds.items()}
    return rates, _busy(setting, steps["auto"], batches[0]) if setting.device.type == "cuda" else None


def _plain(setting: Setting, batch_size: int) -> Callable[[Batch], Any]:
    config = setting.config(batch_size=batch_size)
    assert config.distillation is not None
    student = build_model(config.model).train().to(setting.device)
    checkpoint, _ = read_checkpoint(setting.teacher)
    teacher = build_model(checkpoint.config.model).eval()
    teacher.load_state_dict(checkpoint.model)
    section = config.distillation
    distillation = partial(build_distillation_loss(section), temperature=section.temperature, alpha=section.alpha)
    optimizer = torch.optim.AdamW(student.parameters())
    loss, there = build_loss(config), teacher.to(setting.device)
    return lambda batch: plain_step(student, there, batch, loss, distillation, optimizer, 1.0, device=setting.device)


def _take_turns(
    setting: Setting, steps: dict[str, Callable[[Batch], Any]], batches: Sequence[Batch]
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(3 if setting.tiny else STEPS + 3):
        for name, step in steps.items():
            setting.wait()
            started = time.perf_counter()
            step(batches[number % len(batches)])
            setting.wait()
            if number >= (1 if setting.tiny else 3):
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _busy(setting: Setting, step: Callable[[Batch], Any], batch: Batch) -> float:
    """Share of the time in which kernels run, over ten steps."""
    for _ in range(2):  # the first time, the profiler takes seconds to set itself up
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            setting.wait()
            started = time.perf_counter()
            for _ in range(10):
                step(batch)
            setting.wait()
            elapsed = time.perf_counter() - started
    busy = sum(event.self_device_time_total for event in profile.key_averages())
    return round(float(busy) / 1e6 / elapsed, 3)


def variants(setting: Setting) -> Found:
    """What is not in the product until it has been measured: a teacher in half precision, other settings of cuDNN."""
    found: Found = {}
    for size in (2,) if setting.tiny else (8, 32, 128):
        trainer = setting.trainer(setting.config(batch_size=size, precision="auto"), f"variants_{size}")
        batch = setting.batches(trainer, 1)[0]
        base = partial(trainer.train_step, [batch])
        assert trainer.parts.distiller is not None and trainer.parts.distiller.teacher is not None
        frozen = trainer.parts.distiller.teacher.frozen
        whole, rates = frozen.model, found.setdefault(f"batch {size}", {})

        def measure(
            name: str, *, size: int = size, base: Callable[[], Any] = base, rates: dict[str, Any] = rates
        ) -> None:
            try:
                rates[name] = round(size / _median(setting, base), 1)
            except RuntimeError as error:  # no memory, or nothing that can be compiled
                rates[name] = str(error).strip().splitlines()[0]
            setting.report(found)

        measure("as it is")
        precision = trainer.state.precision
        if precision != "fp32":
            frozen.model = copy.deepcopy(whole).to(torch.bfloat16 if precision == "bf16" else torch.float16)
            measure(f"teacher in {precision}")
        frozen.model = whole
        torch.backends.cudnn.benchmark = True
        measure("cudnn.benchmark")
        torch.backends.cudnn.benchmark = False
        if setting.device.type == "cuda":  # last, as it may take all the time that is left
            frozen.model = torch.compile(whole, mode="reduce-overhead")  # type: ignore[assignment]
            measure("teacher in a CUDA graph")
    return found


def _median(setting: Setting, step: Callable[[], Any]) -> float:
    taken = []
    for _ in range(12):
        setting.wait()
        started = time.perf_counter()
        step()
        setting.wait()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[4:])
