"""The parts of ``gpu_check.py``, each run as a process of its own: prints one line of JSON with what it found."""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from plain_loop import plain_step
from torch import Tensor

from human_edge_detection.data.loader import training_batches, validation_batches
from human_edge_detection.engine.build import build_distillation_loss, build_loss, build_model, build_validation_set
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.engine.device import choose_precision
from human_edge_detection.engine.evaluation.evaluate import evaluate, predictor
from human_edge_detection.engine.precision import Precision, precision_of_gpu
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.structures import Batch

Found = dict[str, Any]
_STEPS: Final = 20
_LEFT_BYTES: Final = 768 << 20
"""About what PyTorch takes of a GPU before the first tensor, and a little more."""


class Setting:
    """What all parts share: the folder with teacher and images, the device, and the sizes."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.folder: Path = args.folder
        self.device = torch.device(args.device)
        self.name: str = args.device
        self.tiny: bool = args.tiny
        self.report: Callable[[Found], None] = args.report
        self.teacher = self.folder / "teacher.pth"
        self.sample = self.folder / "sample"

    @property
    def halves(self) -> tuple[Precision, ...]:
        """The kinds of half precision that the device has units for."""
        if self.device.type == "cpu":
            return ("bf16",)
        best = precision_of_gpu(torch.cuda.get_device_capability(self.device))
        return {"bf16": ("bf16", "fp16"), "fp16": ("fp16",), "fp32": ()}[best]  # type: ignore[return-value]

    def config(self, *, batch_size: int, precision: str = "fp32", **training: Any) -> ExperimentConfig:
        """The student, taught; networks are the presets' own, or small ones to try the script."""
        size = 64 if self.tiny else 256
        return build_config(
            {
                "name": "check",
                "data": {"sample": {"train_images": 16 if self.tiny else 256, "val_images": 4 if self.tiny else 32}},
                "model": {
                    "encoder": "mobilenet_v2" if self.tiny else "timm-efficientnet-b0",
                    "encoder_weights": "none",
                    "image_size": [size, size],
                },
                "distillation": {"teacher_checkpoint": str(self.teacher)},
                "training": {
                    "batch_size": batch_size,
                    "visualize_images": 0,
                    "precision": precision,
                    "device": self.name,
                    **training,
                },
            }
        )

    def trainer(self, config: ExperimentConfig, name: str) -> Trainer:
        """A trainer before its first step, in a folder of its own."""
        paths = RunPaths(self.folder / name)
        trainer = prepare_training(config, paths, resume=None, sample_root=self.sample)
        trainer.progress.batch = 1  # the first step of an epoch also measures the shares of the gradient
        return trainer

    def batches(self, trainer: Trainer, count: int, *, workers: int = 0) -> list[Batch]:
        """The first batches of an epoch, on the host."""
        return list(islice(_stream(trainer, workers), count))

    def wait(self) -> None:
        """Until the device has done what was queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _stream(trainer: Trainer, workers: int) -> Any:
    settings = trainer.parts.config.training
    return training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=0,
        start_epoch=0,
        start_batch=0,
        epochs=1000,
        num_workers=workers,
        pin=trainer.parts.loading.pin,
    )


def prepare(setting: Setting) -> Found:
    """Draws the images and saves a teacher with random weights."""
    teacher = build_config(
        {
            **setting.config(batch_size=2).model_dump(mode="json", exclude={"distillation"}),
            "name": "teacher",
            "model": {
                **setting.config(batch_size=2).model.model_dump(mode="json"),
                "encoder": "resnet18" if setting.tiny else "timm-efficientnet-b3",
            },
            "training": {"device": "cpu", "batch_size": 2, "visualize_images": 0, "precision": "fp32"},
        }
    )
    trainer = prepare_training(teacher, RunPaths(setting.folder / "teacher"), resume=None, sample_root=setting.sample)
    save_checkpoint(setting.teacher, replace(trainer.checkpoint({}), training=None))
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "cores": os.cpu_count()}


def choices(setting: Setting) -> Found:
    """What ``auto`` picks."""
    chosen = choose_precision("auto", setting.device)
    if setting.device.type == "cpu":
        return {"auto": chosen}
    major, minor = torch.cuda.get_device_capability(setting.device)
    expected = "bf16" if major >= 8 else "fp16" if major == 7 else "fp32"
    return {
        "gpu": torch.cuda.get_device_name(setting.device),
        "capability": f"{major}.{minor}",
        "auto": chosen,
        "verdicts": {f"--precision auto is {expected}": chosen == expected},
    }


def agreement(setting: Setting) -> Found:
    """The same batch on the CPU and on the device: logits, losses, gradients; and each term in half precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    config = setting.config(batch_size=4)
    batch = setting.batches(setting.trainer(derive(config, name="cpu", training={"device": "cpu"}), "agreement"), 1)[0]
    expected = _answer(config, batch, torch.device("cpu"))
    found: Found = {"verdicts": {}}
    # A run on a GPU takes other operators than a repeatable one, so both are looked at.
    for way, repeatable_arithmetic in (("as it is", False), ("with --deterministic", True)):
        torch.use_deterministic_algorithms(repeatable_arithmetic)
        logits, losses, gradients = _answer(config, batch, setting.device)
        worst_logit = float((expected[0] - logits).abs().max())
        worst_term = max(abs(losses[name] / value - 1) for name, value in expected[1].items() if value)
        cosine = float(torch.nn.functional.cosine_similarity(expected[2], gradients, dim=0))
        found[way] = {"logits": worst_logit, "terms": worst_term, "cosine": cosine}
        found["verdicts"] |= {
            f"{way}: logits agree to 1e-3": worst_logit <= 1e-3,
            f"{way}: loss terms agree to 1e-4": worst_term <= 1e-4,
            f"{way}: gradients point the same way (0.9999)": cosine >= 0.9999,
        }
    torch.use_deterministic_algorithms(False)
    setting.report(found)
    every = {"terms": [{"kind": kind} for kind in TERM_CONFIGS], "teacher_checkpoint": str(setting.teacher)}
    for precision in setting.halves:
        changes: dict[str, Any] = {"distillation": every, "training": {"precision": precision}}
        trainer = setting.trainer(derive(config, name=precision, **changes), f"terms_{precision}")
        values = trainer.train_step([batch])
        finite = all(torch.tensor(value).isfinite() for value in values.values())
        found["verdicts"][f"all {len(TERM_CONFIGS)} terms are finite in {precision}"] = finite
    return found


def _answer(config: ExperimentConfig, batch: Batch, device: torch.device) -> tuple[Tensor, dict[str, float], Tensor]:
    """Logits, loss terms and gradients of an untrained student on ``device``, in main memory."""
    torch.manual_seed(0)
    student = build_model(config.model).eval().to(device)
    there = batch.to(device)
    output = student(there.images, there.rois)
    loss = build_loss(config)(output, there)
    loss.total.backward()  # type: ignore[no-untyped-call]
    values = {name: float(value) for name, value in loss.values.items()}
    return output.logits.detach().cpu(), values, _flat(student.parameters())


def _flat(parameters: Any) -> Tensor:
    return torch.cat([one.grad.detach().cpu().flatten() for one in parameters if one.grad is not None])


def waits(setting: Setting) -> Found:
    """Whether a step waits for the device anywhere but where it reads its numbers."""
    trainer = setting.trainer(setting.config(batch_size=8, precision="auto"), "waits")
    batch = setting.batches(trainer, 1)[0]
    trainer.train_step([batch])
    on_device = batch.to(setting.device)
    setting.wait()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.batch_loss(on_device, trainer._strength()).total.backward()  # type: ignore[no-untyped-call]
        problem = None
    except RuntimeError as error:
        problem = str(error).splitlines()[0]
    torch.cuda.set_sync_debug_mode("default")
    return {"problem": problem, "verdicts": {"forward, losses and backward wait for nothing": problem is None}}


def repeatable(setting: Setting) -> Found:
    """``hed verify-resume --deterministic``, and what repeatable arithmetic costs."""
    flags = ["--teacher_checkpoint", str(setting.teacher), "--output_dir", str(setting.folder / "verify")]
    command = [sys.executable, "-m", "human_edge_detection", "verify-resume", "--device", setting.name, *flags]
    done = subprocess.run(
        [*command, "--config", "quickstart_distilled_b0_from_b3", "--deterministic"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return {"said": lines[-1] if lines else "", "verdicts": {"a killed run goes on bit by bit": done.returncode == 0}}


def half(setting: Setting) -> Found:
    """60 steps each in half precision: losses fall, weights stay finite, the loss scale of fp16 finds its place."""
    found: Found = {"verdicts": {}}
    for precision in setting.halves:
        trainer = setting.trainer(setting.config(batch_size=8, precision=precision), f"half_{precision}")
        batches = setting.batches(trainer, 4)
        losses = [trainer.train_step([batches[number % 4]])["total"] for number in range(60)]
        finite = all(bool(one.isfinite().all()) for one in trainer.state.student.parameters())
        falls = statistics.mean(losses[-8:]) < statistics.mean(losses[:8])
        found[precision] = {"first": losses[0], "last": losses[-1], "scale": trainer.state.scaler.get_scale()}
        found["verdicts"][f"{precision}: the loss falls and the weights are finite"] = falls and finite
    return found


def memory(setting: Setting) -> Found:
    """On a GPU that somebody else has filled, a training and an evaluation end in one line, never in a traceback."""
    found: Found = {"verdicts": {}}
    train = ["train", "--config", "quickstart_student_b0", "--output_dir", str(setting.folder / "memory")]
    small = {"data.sample.train_images": 8, "data.sample.val_images": 2, "model.image_size": "[1024,1024]"}
    train += [word for name, value in small.items() for word in ("--set", f"{name}={value}")]
    commands = {
        "training": [*train, "--batch_size", "8", "--epochs", "1"],
        "evaluation": ["evaluate", "--checkpoint", str(setting.teacher), "--data_root", str(setting.sample)],
    }
    filled = _fill(setting.device)
    for name, command in commands.items():
        whole = [sys.executable, "-m", "human_edge_detection", *command, "--device", setting.name]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        found[name] = last
        good = done.returncode == 0 or (last.startswith("error: out of memory") and "Traceback" not in done.stderr)
        found["verdicts"][f"{name} without memory says so in one line"] = good
        setting.report(found)
    del filled
    return found


def _fill(device: torch.device) -> Tensor | None:
    """What takes all memory of a GPU but enough for a process to begin."""
    if device.type == "cpu":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return torch.empty(max(0, free - _LEFT_BYTES), dtype=torch.uint8, device=device)


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
    for number in range(3 if setting.tiny else _STEPS + 3):
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


def loader(setting: Setting) -> Found:
    """The real loader: which share of the time a step waits for data, by number of workers."""
    found: Found = {"verdicts": {}}
    size = 4 if setting.tiny else 32
    shares = {}
    trainer = setting.trainer(setting.config(batch_size=size, precision="auto"), "loader")
    chosen = trainer.parts.loading.workers
    for workers in (1,) if setting.tiny else sorted({1, 4, chosen}):
        stream = _stream(trainer, workers)
        waited = stepped = 0.0
        with contextlib.closing(stream):
            # Workers are batches ahead when the first one comes; what counts is how it goes on from there.
            ahead = 1 if setting.tiny else 2 * workers + 1
            for _ in range(ahead):
                trainer.train_step([next(stream)])
            for _ in range(3 if setting.tiny else max(_STEPS, ahead)):
                started = time.perf_counter()
                batch = next(stream)
                waited += time.perf_counter() - started
                started = time.perf_counter()
                trainer.train_step([batch])
                stepped += time.perf_counter() - started
        shares[workers] = round(waited / (waited + stepped), 3)
    found["waiting for data, by workers"] = shares
    if setting.device.type == "cuda":
        found["verdicts"][f"{chosen} workers, as chosen: waits for data less than 5 % of the time"] = (
            shares[chosen] < 0.05
        )
    return found


def epoch_end(setting: Setting) -> Found:
    """What the end of an epoch takes: two validations, and a checkpoint."""
    trainer = setting.trainer(setting.config(batch_size=8, precision="auto"), "epoch_end")
    parts, config = trainer.parts, trainer.parts.config
    data = validation_batches(
        build_validation_set(config.model, trainer.parts.validation.dataset.people),
        batch_size=parts.loading.validation_batch(config.model.image_size),
        num_workers=parts.loading.workers,
        pin=parts.loading.pin,
        keep_workers=True,
    )
    found: Found = {}
    for number in ("first", "second"):
        started = time.perf_counter()
        evaluate(
            predictor(trainer.state.model),
            data,
            device=setting.device,
            precision=trainer.state.precision,
            mask_size=config.model.mask_size,
        )
        found[f"{number} validation"] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()
    save_checkpoint(setting.folder / "epoch_end.pth", trainer.checkpoint({}))
    found["checkpoint"] = round(time.perf_counter() - started, 2)
    return found


def elsewhere(setting: Setting) -> Found:
    """A checkpoint of the device is read where there is none, and holds what was trained."""
    trainer = setting.trainer(setting.config(batch_size=4, precision="fp32"), "elsewhere")
    trainer.train_step(setting.batches(trainer, 1))
    path = setting.folder / "elsewhere.pth"
    save_checkpoint(path, replace(trainer.checkpoint({}), training=None))
    code = (
        "import sys, torch\n"
        "weights = torch.load(sys.argv[1], weights_only=True)['model']\n"
        "print(sum(float(value.double().sum()) for value in weights.values()))"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment, check=False
    )
    here = sum(float(value.double().sum()) for value in trainer.state.student.state_dict().values())
    same = done.returncode == 0 and abs(float(done.stdout) - here) <= 1e-6 * max(1.0, abs(here))
    return {"verdicts": {"torch.load without a GPU gives the weights": same}}


KNOWN: Final[dict[str, Callable[[Setting], Found]]] = {
    part.__name__: part
    for part in (
        prepare,
        choices,
        agreement,
        waits,
        repeatable,
        half,
        memory,
        throughput,
        variants,
        loader,
        epoch_end,
        elsewhere,
    )
}


def main() -> None:
    """Runs the part that is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=KNOWN)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    output = sys.stdout
    args.report = lambda found: print(json.dumps(found), file=output, flush=True)
    with contextlib.redirect_stdout(io.StringIO()):
        found = KNOWN[args.part](Setting(args))
    args.report(found)


if __name__ == "__main__":
    main()
