"""How time and memory grow: of a training step, of planning and reporting a batch, of a validation; with exponents.

    uv run python benchmarks/growth.py --output growth.json

Each point is measured in a process of its own. Memory is what the process held at its peak beyond what it held before
(on a GPU: the most that PyTorch had allocated there). An exponent is the least-squares slope of log value over log
size: 1 is linear, 0 constant; it holds for the sizes in the table and says nothing beyond them.

step
    Seconds of a training step of B0 against pixels of the image, rois on each, and images in a batch; the
    others as ``--image_size``, ``--rois`` and ``--batch_size`` say.
batch
    CPU seconds of ``hed run --dry_run`` for so many runs (planning and its checks), and of the report on them (CSV and
    JSON). The runs are folders of finished ones, which nobody trained; half are distilled from one teacher.
validation
    CPU seconds of ``evaluate`` with COCO AP for so many images, the model's own time left out: its answers are at
    hand. The same drawn images under ever new ids.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measuring import exponent, finite, in_a_process, machine, memory_mb, peak_mb
from torch import Tensor
from validation import plausible

from human_edge_detection.cli.main import main as main_of_hed
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_validation_set, read_splits
from human_edge_detection.engine.evaluation.evaluate import evaluate
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.runner.comparison.table import write_comparison
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import CheckpointSummary, RunResult, RunStatus
from human_edge_detection.structures import NON_TARGET, TARGET, Batch, SegmentationOutput

STUDENT, DISTILLED, TEACHER = "quickstart_student_b0", "quickstart_distilled_b0_from_b3", "quickstart_teacher_b3"
IMAGES = 16
"""Different ones, of which a validation set of any size is made."""


class Cost(NamedTuple):
    """Of one point."""

    seconds: float
    mb: float


# --- a training step ---


def cost_of_step(image_size: int, rois: int, batch_size: int, steps: int, folder: Path) -> Cost:
    trainer = make_trainer(image_size, folder)
    batch = made_up_batch(image_size, rois, batch_size)
    cuda = trainer.parts.device.type == "cuda"
    before = memory_mb()
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        trainer.train_step([batch])
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    mb = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_mb() - before
    return Cost(statistics.median(seconds[1:]), mb)


def make_trainer(image_size: int, folder: Path) -> Trainer:
    config = build_config(
        {
            "name": "growth",
            "data": {"sample": {"train_images": 4, "val_images": 4, "image_size": [64, 96]}, "num_workers": 0},
            "model": {
                "encoder_weights": "none",
                "image_size": [image_size, image_size],
                "roi_size": [80, 60],
                "mask_size": [160, 120],
            },
        }
    )
    paths = RunPaths(folder / f"step_{os.getpid()}")
    trainer = prepare_training(config, paths, resume=None, sample_root=folder / "sample")
    trainer.progress.batch = 1  # the first batch of an epoch also measures the shares of the gradient
    return trainer


def made_up_batch(image_size: int, rois: int, batch_size: int) -> Batch:
    """Noise with boxes in it; half of each is its person, a strip is another."""
    generator = torch.Generator().manual_seed(0)
    count = rois * batch_size
    corner = torch.rand(count, 2, generator=generator) * 0.5
    owner = torch.arange(batch_size).repeat_interleave(rois)[:, None].float()
    roi_masks = torch.zeros(count, 160, 120, dtype=torch.uint8)
    roi_masks[:, 40:, 30:90], roi_masks[:, :, 100:] = TARGET, NON_TARGET
    person_masks = torch.zeros(batch_size, image_size, image_size, dtype=torch.uint8)
    person_masks[:, image_size // 4 : image_size // 2] = 1
    return Batch(
        images=torch.rand(batch_size, 3, image_size, image_size, generator=generator),
        rois=torch.cat([owner, corner, corner + 0.4], dim=1),
        roi_masks=roi_masks,
        person_masks=person_masks,
        image_ids=tuple(range(batch_size)),
        annotation_ids=tuple(range(count)),
    )


# --- a batch of runs ---


def cost_of_planning(runs: int, folder: Path) -> Cost:
    output_dir = finished_batch(runs, folder)
    seeds = map(str, range(runs // 2))
    command = ["run", "--configs", STUDENT, DISTILLED, "--output_dir", str(output_dir), "--dry_run", "--seeds", *seeds]

    def plan_batch() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            code = main_of_hed(command)
        assert code == 0

    return cost(plan_batch)


def cost_of_reporting(runs: int, folder: Path) -> Cost:
    output_dir = finished_batch(runs, folder)
    return cost(lambda: write_comparison(output_dir))


def finished_batch(runs: int, folder: Path) -> Path:
    """The folder of so many runs, and of their teacher."""
    output_dir = folder / f"runs_{runs}" / "experiments"
    if output_dir.is_dir():
        return output_dir
    teacher = finished_run(output_dir / TEACHER, get_config(TEACHER), {})
    for seed in range(runs // 2):
        for name in (STUDENT, DISTILLED):
            taught = name == DISTILLED
            changes: dict[str, Any] = {"training": {"seed": seed}}
            if taught:
                changes["distillation"] = {"teacher_checkpoint": str(teacher.best)}
            config = derive(get_config(name), name=name, **changes)
            fields = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": "c0ffee"} if taught else {}
            finished_run(output_dir / name / f"seed_{seed}", config, fields)
    return output_dir


def finished_run(root: Path, config: ExperimentConfig, fields: dict[str, Any]) -> RunPaths:
    """A run folder as training leaves it, as far as a report reads it."""
    paths = RunPaths(root)
    status = RunStatus(
        state="finished", epochs=6, pid=os.getpid(), host=socket.gethostname(), started="2030", updated="2030"
    )
    result = RunResult(
        experiment=config.name,
        run_name=root.name,
        seed=config.training.seed,
        encoder=config.model.encoder,
        unet_parameters=6_250_000,
        total_parameters=6_500_000,
        best_epoch=6,
        epochs=6,
        metrics={"miou": 0.5, "iou_target": 0.6},
        seconds=75.0,
        images_per_second=3.5,
        best_checkpoint=str(paths.best),
        data_fingerprint="data",
        **fields,
    )
    paths.checkpoints.mkdir(parents=True)
    for path, section in ((paths.config, config), (paths.status, status), (paths.result, result)):
        path.write_text(section.model_dump_json(), encoding="utf-8")
    summary = CheckpointSummary(experiment=config.name, sha256="c0ffee", epoch=1, metrics={}, data_fingerprint="data")
    summary_path(paths.best).write_text(summary.model_dump_json(), encoding="utf-8")
    paths.best.touch()
    return paths


# --- a validation ---


def cost_of_validation(records: int, folder: Path) -> Cost:
    config = build_config(
        {
            "name": "growth",
            "data": {"sample": {"train_images": 4, "val_images": IMAGES, "image_size": [480, 640]}},
            "model": {"encoder_weights": "none", "image_size": [256, 256], "mask_size": [160, 120]},
        }
    )
    people = read_splits(config.data, folder / "photographs", seed=0).val
    dataset = build_validation_set(config.model, people)
    batch = next(iter(validation_batches(dataset, batch_size=IMAGES, num_workers=0)))
    predicted = plausible(batch)
    copies = records // IMAGES
    annotations = folder / f"annotations_{records}.json"
    content = json.loads(people.file.read_text(encoding="utf-8"))
    annotations.write_text(json.dumps(copied(content, copies)), encoding="utf-8")
    del content

    def prediction(images: Tensor, rois: Tensor) -> SegmentationOutput:
        return predicted

    def validate() -> None:
        evaluate(
            prediction,
            batches(batch, copies),
            device=torch.device("cpu"),
            precision="fp32",
            mask_size=config.model.mask_size,
            coco_ap=CocoMaskAp(annotations),
        )

    return cost(validate)


def copied(content: dict[str, Any], copies: int) -> dict[str, Any]:
    """The data set, ``copies`` times over, under ids of their own."""
    images = [{**entry, "id": number(entry["id"], copy)} for copy in range(copies) for entry in content["images"]]
    persons = [
        {**entry, "id": number(entry["id"], copy), "image_id": number(entry["image_id"], copy)}
        for copy in range(copies)
        for entry in content["annotations"]
    ]
    return {**content, "images": images, "annotations": persons}


def batches(batch: Batch, copies: int) -> Iterator[Batch]:
    for copy in range(copies):
        yield batch._replace(
            image_ids=tuple(number(own, copy) for own in batch.image_ids),
            annotation_ids=tuple(number(own, copy) for own in batch.annotation_ids),
        )


def number(own: int, copy: int) -> int:
    return own + 1_000_000 * copy


# --- tables ---


def cost(call: Callable[[], object]) -> Cost:
    before, started = memory_mb(), time.process_time()
    call()
    return Cost(time.process_time() - started, peak_mb() - before)


def table(name: str, unit: str, sizes: Sequence[int], measure: Callable[[int], Cost], repeats: int) -> dict[str, Any]:
    """The costs at ``sizes``, in turn, the least of ``repeats``, and their exponents; printed."""
    taken: dict[int, list[Cost]] = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            taken[size].append(in_a_process(measure, size, method="fork"))
    rows = [Cost(*map(min, zip(*taken[size], strict=True))) for size in sizes]  # other work only ever adds
    exponents = {
        "seconds": exponent(sizes, [row.seconds for row in rows]),
        "mb": finite(exponent(sizes, [max(row.mb, 0.1) for row in rows])),
    }
    print(f"{name}\n{unit:>20}{'seconds':>12}{'MB':>10}")
    for size, row in zip(sizes, rows, strict=True):
        print(f"{size:20}{row.seconds:12.3f}{row.mb:10.1f}")
    print(f"{'exponent':>20}{exponents['seconds']:12.2f}{exponents['mb']:10.2f}")
    return {"unit": unit, "rows": [[size, *row] for size, row in zip(sizes, rows, strict=True)], "exponents": exponents}


class OfStep:
    """Seconds of a step where one of the three sizes varies."""

    def __init__(self, varied: str, args: argparse.Namespace, folder: Path) -> None:
        self.varied = varied
        self.fixed = {"image_size": args.image_size, "rois": args.rois, "batch_size": args.batch_size}
        self.steps = args.steps
        self.folder = folder

    def __call__(self, size: int) -> Cost:
        side = round(size**0.5)
        sizes = self.fixed | {self.varied: side if self.varied == "image_size" else size}
        return cost_of_step(**sizes, steps=self.steps, folder=self.folder)


class Of:
    """A cost in a folder."""

    def __init__(self, measure: Callable[[int, Path], Cost], folder: Path) -> None:
        self.measure = measure
        self.folder = folder

    def __call__(self, size: int) -> Cost:
        return self.measure(size, self.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=256, help="where it is not varied")
    parser.add_argument("--rois", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="half a minute: no steps, smaller sizes")
    parser.add_argument("--output", type=Path, default=Path("growth.json"))
    args = parser.parse_args()
    runs, records = [10, 30, 100, 300, 1000], [64, 256, 1024, 4096]
    if args.quick:
        runs, records, args.repeats = [100, 300, 1000], [64, 128, 256], 2
    tables = {}
    gc.freeze()  # a search for garbage in all that torch has imported would be most of what is measured
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not args.quick:
            for varied, sizes in (
                ("image_size", [side**2 for side in (128, 192, 256, 384)]),
                ("rois", [1, 2, 4, 8]),
                ("batch_size", [2, 4, 8, 16]),
            ):
                unit = "pixels" if varied == "image_size" else varied
                tables[f"step, {unit}"] = table("training step", unit, sizes, OfStep(varied, args, folder), 1)
        for title, unit, sizes, measure in (
            ("planning", "runs", runs, cost_of_planning),
            ("reporting", "runs", runs, cost_of_reporting),
            ("validation", "photographs", records, cost_of_validation),
        ):
            tables[title] = table(title, unit, sizes, Of(measure, folder), args.repeats)
    gc.unfreeze()
    # Below 1 it says how much of the cost is constant, which is nothing to defend.
    ratios = {f"exponent of {name}": max(1.0, found["exponents"]["seconds"]) for name, found in tables.items()}
    result = {
        "machine": machine(),
        "arguments": vars(args),
        "tables": tables,
        "ratios": ratios,
        "lower_is_better": list(ratios),
    }
    args.output.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
