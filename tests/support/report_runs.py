"""A folder of runs that nobody trained, with all that a report shows: teacher, student, control, failure."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from made_up_runs import WEIGHTS, made_up_counts, sha256_of, write_counted_run
from numpy.typing import NDArray

from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runner.comparison.slices import ALL, columns_of, crowding_of, group_sums, scores_of
from human_edge_detection.runs.paths import RunPaths, sample_data_dir
from human_edge_detection.runs.per_image import PerImage
from human_edge_detection.runs.person_maps import ImageMaps, Predictions, TrainingView, TrainingViews
from human_edge_detection.runs.records import LatencyReport, ParityReport

WriteRun = Callable[..., RunPaths]
Pixels = NDArray[np.uint8]
TEACHER, STUDENT, DISTILLED = "quickstart_teacher_b3", "quickstart_student_b0", "quickstart_distilled_b0_from_b3"
FAILED = "quickstart_edge_from_b3"
ERROR = "loss is not finite in epoch 2, step 31; lower --learning_rate; the last checkpoint is kept"
SIZE = (180, 240)


def write_report_runs(
    output_dir: Path, write_run: WriteRun, *, seeds: int = 2, images: int = 24, views: int = 8
) -> dict[str, RunPaths]:
    """Writes the runs below ``output_dir`` and their validation images beside it; returns the folders by run name."""
    teacher_config = get_config(TEACHER)
    teacher = _write(
        write_run, output_dir / TEACHER, teacher_config, made_up_counts(images=images, skill=0.86, noise=0.04, seed=90)
    )
    _dress(teacher, teacher_config, skill=0.86, epochs=8, millisecs=14.8, views=views)
    found = {TEACHER: teacher}
    for name, skill in ((STUDENT, 0.78), (DISTILLED, 0.82)):
        for seed in range(seeds):
            sets = [f"training.seed={seed}"]
            flags = {"--teacher_checkpoint": str(teacher.best)} if name == DISTILLED else {}
            config = apply(get_config(name), collect(sets=sets, flags=flags))
            taught = _taught(teacher) if flags else {}
            made = made_up_counts(images=images, skill=skill, noise=0.04, seed=seed + 10 * len(name))
            paths = _write(write_run, output_dir / name / f"seed_{seed}", config, made, **taught)
            _dress(paths, config, skill=skill, epochs=6, millisecs=9.6 + 0.1 * seed, views=views)
            found[f"{name}/seed_{seed}"] = paths
    failed = write_run(output_dir / FAILED, get_config(FAILED), state="failed")
    status = json.loads(failed.status.read_text())
    write_json(failed.status, status | {"error": ERROR})
    failed.result.unlink(missing_ok=True)
    found[FAILED] = failed
    _write_images(sample_data_dir(output_dir, teacher_config.data), images)
    return found


def _write(write_run: WriteRun, root: Path, config: ExperimentConfig, counts: PerImage, **result: Any) -> RunPaths:
    crowding = crowding_of(counts)
    scores = scores_of(ALL, group_sums(columns_of(counts), crowding))
    metrics = {name: None if math.isnan(float(value)) else float(value) for name, value in scores.items()}
    parameters = 13_326_848 if config.name == TEACHER else 6_420_000
    return write_counted_run(
        write_run,
        root,
        config,
        counts,
        metrics=metrics,
        seed=config.training.seed,
        total_parameters=parameters,
        best_epoch=5,
        epochs=config.training.epochs,
        **result,
    )


def _taught(teacher: RunPaths) -> dict[str, Any]:
    return {
        "teacher_checkpoint": str(teacher.best),
        "teacher_sha256": sha256_of(WEIGHTS),
        "teacher_experiment": TEACHER,
        "teacher_miou": 0.7,
        "teacher_parameters": 13_326_848,
        "temperature": 4.0,
        "alpha": 0.7,
    }


def _dress(
    paths: RunPaths, config: ExperimentConfig, *, skill: float, epochs: int, millisecs: float, views: int
) -> None:
    """Learning curves, an export with its latency, maps, views and provenance."""
    lines = [json.dumps(record) for record in _epochs(config, skill, epochs)]
    paths.metrics.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_atomically(paths.onnx, b"onnx")
    parity = ParityReport(
        onnx="checkpoints/best_model.onnx",
        checkpoint_sha256=sha256_of(WEIGHTS),
        opset=18,
        size_bytes=4,
        onnx_sha256=sha256_of("onnx"),
        max_difference=2e-5,
        max_probability_difference=2e-6,
        mask_iou=1.0,
        passed=True,
        cases=[],
    )
    write_json(paths.parity, parity.model_dump(mode="json"))
    latency = LatencyReport(
        median_ms=millisecs,
        p95_ms=millisecs * 1.2,
        cpu_ms=millisecs,
        threads=1,
        rois=3,
        image_size=config.model.image_size,
        rounds=11,
        onnx_sha256=sha256_of("onnx"),
        measured="2026-11-29T21:00:00+00:00",
        processor="A processor",
        together_with="one measurement",
    )
    write_json(paths.latency, latency.model_dump(mode="json"))
    counts = json.loads(paths.per_image.read_text())
    rng = np.random.default_rng(round(100 * skill))
    maps = [_maps(number, persons, skill, rng) for number, persons in zip(
        counts["images"]["id"], counts["images"]["persons"], strict=True)]  # fmt: skip
    predictions = Predictions(checkpoint_sha256=sha256_of(WEIGHTS), data_fingerprint="data", images=tuple(maps))
    paths.predictions.write_text(predictions.model_dump_json(), encoding="utf-8")
    seen = TrainingViews(views=tuple(_view(number) for number in range(views)))
    paths.training_views.write_text(seen.model_dump_json(), encoding="utf-8")
    command = ["/home/somebody/tool/src/human_edge_detection/__main__.py", "train", "--resume", str(paths.root)]
    versions = {"human-edge-detection": "0.1.0", "torch": "2.15.0"}
    write_json(paths.provenance, {"command": command, "versions": versions, "device": "cpu", "precision": "fp32"})


def _epochs(config: ExperimentConfig, skill: float, epochs: int) -> Iterator[dict[str, float]]:
    distilled = config.distillation is not None
    for epoch in range(1, epochs + 1):
        done = 1 - math.exp(-epoch / 3)
        terms = {"main/ce": 1.2 - 0.5 * done, "main/dice": 0.9 - 0.4 * done, "full_image/bce": 0.6 - 0.4 * done}
        hard = sum(terms.values()) * (0.3 if distilled else 1.0)
        soft = 2.0 - done if distilled else 0.0
        record = {"epoch": epoch, "step": 12 * epoch, "train/total": hard + soft, "train/hard": hard}
        record |= {f"train/{name}": value for name, value in terms.items()}
        record |= {"train/learning_rate": 2e-3 * (1 - epoch / (epochs + 1)), "train/gradient_norm": 4 - 2 * done}
        record |= {"train/gradient_share/main/ce": 0.6, "train/gradient_share/main/dice": 0.4}
        record |= {
            "val/miou": 0.1 + (skill - 0.3) * done,
            "val/iou_target": skill * done,
            "val/boundary_f1": 0.6 * done,
        }
        if distilled:
            record |= {"train/soft": soft, "train/kl/main": soft / 0.7, "temperature": 4.0, "alpha": 0.7}
        yield record


def _persons(number: int, persons: int) -> list[tuple[int, int, int, int]]:
    """Centre and half axes of each person's body on image ``number``."""
    rng = np.random.default_rng((3, number))
    return [
        (int(rng.integers(25, SIZE[1] - 25)), int(rng.integers(60, SIZE[0] - 50)), 12 + 3 * (k % 3), 34 + 4 * (k % 4))
        for k in range(persons)
    ]


def _draw(number: int, persons: int, *, shift: float = 0.0, rng: np.random.Generator | None = None) -> Pixels:
    drawn = np.zeros(SIZE, np.uint8)
    for k, (x, y, width, height) in enumerate(_persons(number, persons), start=1):
        dx, dy = (0, 0) if rng is None else (int(value) for value in rng.normal(0, 30 * shift, 2))
        grown = 1.0 if rng is None else float(np.clip(1 + rng.normal(0, shift), 0.5, 1.4))
        axes = (max(2, int(width * grown)), max(2, int(height * grown)))
        cv2.ellipse(drawn, (x + dx, y + dy), axes, 0, 0, 360, k, cv2.FILLED)
        cv2.circle(drawn, (x + dx, y + dy - axes[1] - 5), max(2, int(width * 0.7)), k, cv2.FILLED)
    return drawn


def _maps(number: int, persons: int, skill: float, rng: np.random.Generator) -> ImageMaps:
    truth, found = _draw(number, persons), _draw(number, persons, shift=1 - skill, rng=rng)
    return ImageMaps(id=number, file_name=f"{number:012d}.jpg", truth=_encoded(truth), prediction=_encoded(found))


def _picture(number: int, persons: int) -> Pixels:
    """``(H, W, 3)`` BGR: a sky, a floor, and persons in colours."""
    rng = np.random.default_rng((5, number))
    picture = np.full((*SIZE, 3), rng.integers(120, 220, 3), np.uint8)
    picture[SIZE[0] * 2 // 3 :] = rng.integers(60, 140, 3)
    where = _draw(number, persons)
    for k in range(1, persons + 1):
        picture[where == k] = rng.integers(20, 230, 3)
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8)


def _view(number: int) -> TrainingView:
    persons = number % 4
    image, drawn = _picture(1000 + number, persons), _draw(1000 + number, persons)
    return TrainingView(file_name=f"train_{number:04d}.jpg", image=_encoded(image, ".jpg"), persons=_encoded(drawn))


def _encoded(pixels: Pixels, kind: str = ".png") -> str:
    return base64.b64encode(cv2.imencode(kind, pixels)[1].tobytes()).decode()


def _write_images(root: Path, images: int) -> None:
    persons = np.random.default_rng(7).integers(0, 6, images)  # as made_up_counts has them
    folder = root / "images" / "val"
    folder.mkdir(parents=True)
    write_json(root / "annotations" / "instances_val_person.json", {})
    for number, count in enumerate(persons.tolist(), start=1):
        write_atomically(folder / f"{number:012d}.jpg", cv2.imencode(".jpg", _picture(number, count))[1].tobytes())
