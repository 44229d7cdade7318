"""The parts of ``gpu_check.py``, each run as a process of its own: prints one line of JSON with what it found."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from gpu_setting import STEPS, Found, Setting, stream
from gpu_speed import throughput, variants
from torch import Tensor

from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_loss, build_model, build_validation_set
from human_edge_detection.engine.checkpoints.checkpoint import save_checkpoint
from human_edge_detection.engine.device import choose_precision
from human_edge_detection.engine.evaluation.evaluate import evaluate, predictor
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.structures import Batch

_LEFT_BYTES: Final = 768 << 20
"""About what PyTorch takes of a GPU before the first tensor, and a little more."""


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


def loader(setting: Setting) -> Found:
    """The real loader: which share of the time a step waits for data, by number of workers."""
    found: Found = {"verdicts": {}}
    size = 4 if setting.tiny else 32
    shares = {}
    trainer = setting.trainer(setting.config(batch_size=size, precision="auto"), "loader")
    chosen = trainer.parts.loading.workers
    for workers in (1,) if setting.tiny else sorted({1, 4, chosen}):
        coming = stream(trainer, workers)
        waited = stepped = 0.0
        with contextlib.closing(coming):
            # Workers are batches ahead when the first one comes; what counts is how it goes on from there.
            ahead = 1 if setting.tiny else 2 * workers + 1
            for _ in range(ahead):
                trainer.train_step([next(coming)])
            for _ in range(3 if setting.tiny else max(STEPS, ahead)):
                started = time.perf_counter()
                batch = next(coming)
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
