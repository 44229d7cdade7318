"""Images per second of a training step: ours, with its parts turned off one by one, and the plain loop of the field.

    uv run python benchmarks/training_step.py --output training_step.json

All variants take turns, on the same batches of drawn people; a round is one step of each. Each runs in a process of
its own, as in training: some of what makes ours fast is set for a whole process, and trainers in one process disturb
each other. The table has the median over the rounds, and the ratio to the plain loop as the median of their ratios.
"""

import argparse
import contextlib
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from floor import copy_bandwidth, matmul_rate, operations, soft_label_bytes
from measuring import machine
from plain_loop import plain_step, with_plain_layers

from human_edge_detection.data.loader import training_batches
from human_edge_detection.engine.build import build_distillation_loss, build_loss, build_model
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.engine.device import autocast
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.structures import Batch, SegmentationOutput

_BATCHES = 4
Step = Callable[[Batch], dict[str, float]]


@dataclass
class Variant:
    """One way to do a step."""

    name: str
    timed_step: Callable[[Batch], float]
    seconds: list[float] = field(default_factory=list)


def configs(args: argparse.Namespace) -> tuple[ExperimentConfig, ExperimentConfig]:
    """Teacher and distilled student."""
    common = build_config(
        {
            "name": "step",
            "data": {
                "sample": {"train_images": _BATCHES * args.batch_size, "val_images": 2, "image_size": [480, 640]},
                "max_rois_per_image": args.rois,
                "num_workers": 0,
            },
            "model": {
                "encoder_weights": "none",
                "image_size": [args.image_size, args.image_size],
                "roi_size": [80, 60],
                "mask_size": [160, 120],
            },
            "training": {"batch_size": args.batch_size, "visualize_images": 0},
        }
    )
    return derive(common, name="teacher", model={"encoder": "timm-efficientnet-b3"}), common


def make_trainer(config: ExperimentConfig, folder: Path) -> Trainer:
    """A trainer before its first step."""
    trainer = prepare_training(config, RunPaths(folder / config.name), resume=None, sample_root=folder / "sample")
    trainer.progress.batch = 1  # the first batch of an epoch also measures the shares of the gradient
    return trainer


def ours(config: ExperimentConfig, teacher: Path | None, precision: str, folder: Path) -> Step:
    """The trainer's step at ``precision``."""
    section: dict[str, Any] = {} if teacher is None else {"distillation": {"teacher_checkpoint": str(teacher)}}
    trainer = make_trainer(
        derive(config, name=f"ours_{precision}_{teacher is not None}", training={"precision": precision}, **section),
        folder,
    )
    return lambda batch: trainer.train_step([batch])


def cached(config: ExperimentConfig, teacher: Path, precision: str, folder: Path) -> Step:
    """The trainer's step with the teacher's soft labels at hand, as they come out of a soft-label cache."""
    changes: dict[str, Any] = {
        "training": {"precision": precision},
        "distillation": {"teacher_checkpoint": str(teacher)},
    }
    trainer = make_trainer(derive(config, name=f"cached_{precision}", **changes), folder)
    outputs: dict[tuple[int, ...], SegmentationOutput] = {}

    def step(batch: Batch) -> dict[str, float]:
        return trainer.train_step([batch._replace(soft_labels=outputs[batch.image_ids])])

    def prepare(batch: Batch) -> None:
        assert trainer.parts.distiller is not None
        assert trainer.parts.distiller.teacher is not None
        with autocast(trainer.parts.device, trainer.state.precision):
            prediction = trainer.parts.distiller.teacher.predict_batch(batch, mask_size=config.model.mask_size)
        aux = {head: logits.half() for head, logits in prediction.aux.items()}
        outputs[batch.image_ids] = SegmentationOutput(prediction.logits.half(), aux)

    for batch in batches_of(trainer):
        prepare(batch.to(trainer.parts.device))
    return step


def batches_of(trainer: Trainer) -> list[Batch]:
    """The first batches of the first epoch."""
    settings = trainer.parts.config.training
    stream = training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start_epoch=0,
        start_batch=0,
        epochs=1,
        num_workers=0,
    )
    return list(islice(stream, _BATCHES))


def plain(config: ExperimentConfig, teacher: Path | None) -> Step:
    """The step of ``plain_loop.py``."""
    torch.manual_seed(config.training.seed)
    student = with_plain_layers(build_model(config.model)).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=config.training.learning_rate)
    taught_by = distillation = None
    if teacher is not None:
        checkpoint = read_checkpoint(teacher)[0]
        taught_by = with_plain_layers(build_model(checkpoint.config.model)).eval()
        taught_by.load_state_dict(checkpoint.model)
        section = derive(config, name="taught", distillation={"teacher_checkpoint": str(teacher)}).distillation
        assert section is not None
        distillation = partial(build_distillation_loss(section), temperature=section.temperature, alpha=section.alpha)
    loss = build_loss(config)
    clip = config.training.gradient_clip or float("inf")
    return lambda batch: plain_step(student, taught_by, batch, loss, distillation, optimizer, clip)


VARIANTS: dict[str, Callable[[ExperimentConfig, Path, Path], Step]] = {
    "plain, distilled": lambda config, teacher, folder: plain(config, teacher),
    "plain, student alone": lambda config, teacher, folder: plain(config, None),
    "ours fp32, distilled": lambda config, teacher, folder: ours(config, teacher, "fp32", folder),
    "ours bf16, distilled": lambda config, teacher, folder: ours(config, teacher, "bf16", folder),
    "ours bf16 from soft labels, distilled": lambda config, teacher, folder: cached(config, teacher, "bf16", folder),
    "ours bf16, student alone": lambda config, teacher, folder: ours(config, None, "bf16", folder),
}


def serve(name: str, config: ExperimentConfig, teacher: Path, folder: Path, asked: Connection) -> None:
    """Does a step of one variant for each batch that it is sent, and answers with its seconds."""
    step = VARIANTS[name](config, teacher, folder)
    while (batch := asked.recv()) is not None:
        started = time.perf_counter()
        step(batch)
        asked.send(time.perf_counter() - started)


def save_teacher(config: ExperimentConfig, folder: Path) -> Path:
    """A checkpoint of the teacher with random weights: what they are makes no difference to the time."""
    checkpoint = replace(make_trainer(config, folder).checkpoint({}), training=None)
    path = folder / "teacher.pth"
    save_checkpoint(path, checkpoint)
    return path


def measure(variants: list[Variant], batches: list[Batch], rounds: int) -> None:
    """Times one step of each variant a round; the first round warms up."""
    for number in range(rounds + 1):
        for variant in variants:
            seconds = variant.timed_step(batches[number % len(batches)])
            if number:
                variant.seconds.append(seconds)


def table(variants: list[Variant], images: int) -> list[dict[str, Any]]:
    """A row a variant: images per second, and the ratio to the plain loop of the same kind."""
    rows = []
    for variant in variants:
        reference = next(other for other in variants if other.name == f"plain, {variant.name.partition(', ')[2]}")
        ratios = [one / other for one, other in zip(reference.seconds, variant.seconds, strict=True)]
        rows.append(
            {
                "variant": variant.name,
                "images_per_second": images / statistics.median(variant.seconds),
                "times_the_plain_loop": statistics.median(ratios),
            }
        )
    return rows


def ratios(rows: list[dict[str, Any]], variants: list[Variant]) -> dict[str, float]:
    """What must not fall, whatever the machine's speed."""
    by_name = {row["variant"]: row["times_the_plain_loop"] for row in rows}
    seconds = {variant.name: variant.seconds for variant in variants}
    alone = seconds["ours bf16, student alone"]

    def over_alone(name: str) -> float:
        return statistics.median(own / other for own, other in zip(alone, seconds[name], strict=True))

    return {
        "fp32 over plain, distilled": by_name["ours fp32, distilled"],
        "bf16 over plain, distilled": by_name["ours bf16, distilled"],
        "bf16 over plain, student alone": by_name["ours bf16, student alone"],
        "student alone over distilled": over_alone("ours bf16, distilled"),
        "student alone over soft labels": over_alone("ours bf16 from soft labels, distilled"),
    }


def floor_of(config: ExperimentConfig, teacher_config: ExperimentConfig, batch: Batch) -> dict[str, float]:
    """The least seconds of a distilled step in bf16, and what they follow from."""
    images, rois = len(batch.images), len(batch.rois)
    flops = 3 * operations(config.model, images, rois) + operations(teacher_config.model, images, rois)
    passes = ((config.model, 5), (teacher_config.model, 2))
    on_cpu = batch.to(torch.device("cpu"))
    inputs = (on_cpu.images, on_cpu.rois)
    moved = sum(times * soft_label_bytes(build_model(model).eval(), inputs, bytes_each=2) for model, times in passes)
    rate, bandwidth = matmul_rate(torch.bfloat16), copy_bandwidth()
    return {
        "operations": flops,
        "bf16_operations_per_second": rate,
        "fp32_operations_per_second": matmul_rate(torch.float32),
        "bytes": moved,
        "bytes_per_second": bandwidth,
        "arithmetic_seconds": flops / rate,
        "memory_seconds": moved / bandwidth,
    }


@contextlib.contextmanager
def variant_process(name: str, config: ExperimentConfig, teacher: Path, folder: Path) -> Iterator[Variant]:
    """A process that does the steps of one variant."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["human_edge_detection.engine.session.prepare"])  # once for all variants
    here, there = context.Pipe()
    worker = context.Process(target=serve, args=(name, config, teacher, folder, there), daemon=True)
    worker.start()

    def seconds_of(batch: Batch) -> float:
        here.send(batch)
        seconds: float = here.recv()
        return seconds

    yield Variant(name, seconds_of)
    here.send(None)
    worker.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rois", type=int, default=2, help="most persons used of an image")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="128 px, 7 rounds, no floor")
    parser.add_argument("--output", type=Path, default=Path("training_step.json"))
    args = parser.parse_args()
    if args.quick:
        args.image_size, args.rounds = 128, 7
    teacher_config, config = configs(args)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as processes:
        folder = Path(name)
        teacher = save_teacher(teacher_config, folder)
        batches = batches_of(make_trainer(derive(config, name="batches"), folder))
        variants = []
        for name in VARIANTS:
            variants.append(processes.enter_context(variant_process(name, config, teacher, folder)))
            variants[-1].timed_step(batches[0])  # two that start side by side disturb each other more than they gain
        measure(variants, batches, args.rounds)
    rows = table(variants, args.batch_size)
    for row in rows:
        print(
            f"{row['variant']:45} {row['images_per_second']:7.2f} images/s {row['times_the_plain_loop']:6.2f} x plain"
        )
    report = {"machine": machine(), "arguments": vars(args), "rows": rows, "ratios": ratios(rows, variants)}
    if not args.quick:
        report["floor"] = floor = floor_of(config, teacher_config, batches[0])
        print(
            f"floor of a distilled step: {floor['arithmetic_seconds']:.3f} s arithmetic "
            f"({floor['bf16_operations_per_second'] / 1e12:.2f} TFLOP/s), {floor['memory_seconds']:.3f} s memory "
            f"({floor['bytes_per_second'] / 1e9:.1f} GB/s)"
        )
    args.output.write_text(json.dumps(report, indent=1, default=str))


if __name__ == "__main__":
    main()
