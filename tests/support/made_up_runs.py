"""Runs that nobody trained: counts for images, drawn at random, and folders that hold them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.model_facts.split_scores import SplitScores, write_split_scores
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.per_image import PerImage, person_size
from human_edge_detection.runs.records import CheckpointSummary

WriteRun = Callable[..., RunPaths]
WEIGHTS = "made up"
PIXELS = 1000


def made_up_counts(*, images: int = 60, skill: float = 0.8, noise: float = 0.02, seed: int = 0) -> PerImage:
    """Counts on ``images`` images, the same images and persons at every call.

    Args:
        images: Their number; ids rise from 1.
        skill: Share of pixels that are right, on the average image.
        noise: What ``seed`` does to the skill on single images.
        seed: Of the noise.
    """
    world, own = np.random.default_rng(7), np.random.default_rng((seed, 1))
    persons = world.integers(0, 6, images)
    hardness = world.normal(0.0, 0.1, images)
    right = np.clip(skill - hardness + own.normal(0.0, noise, images), 0.02, 0.98)
    image_of = np.repeat(np.arange(images), persons)
    areas = world.choice([500.0, 5_000.0, 50_000.0], len(image_of))
    shares = world.dirichlet((6, 3, 1), len(image_of))
    confusion = [_confusion(share, right[image]) for share, image in zip(shares, image_of, strict=True)]
    correct = right[image_of]
    return PerImage.model_validate(
        {
            "checkpoint_sha256": sha256_of(WEIGHTS),
            "data_fingerprint": "data",
            "images": {
                "id": tuple(range(1, images + 1)),
                "persons": tuple(map(int, persons)),
                "confusion": tuple(_confusion((0.7, 0.3), skilled) for skilled in right),
            },
            "rois": {
                "image": tuple(int(image) + 1 for image in image_of),
                "annotation": tuple(range(1, len(image_of) + 1)),
                "size": tuple(map(person_size, areas)),
                "confusion": tuple(confusion),
                "target_iou": tuple(float(value) for value in correct),
                "boundary_f1": tuple(None if number % 9 == 0 else float(v) for number, v in enumerate(correct**2)),
            },
        }
    )


def _confusion(shares: Any, right: float) -> tuple[int, ...]:
    """``right`` of each class's pixels are answered rightly, the others evenly as the other classes."""
    classes = len(shares)
    matrix = np.full((classes, classes), (1 - right) / (classes - 1)) + np.eye(classes) * (
        right - (1 - right) / (classes - 1)
    )
    return tuple(int(count) for count in np.rint(PIXELS * np.asarray(shares)[:, None] * matrix).ravel())


def write_counted_run(
    write_run: WriteRun, root: Path, config: ExperimentConfig, counts: PerImage, **result: Any
) -> RunPaths:
    """A finished run folder with per_image.json, the summary of its best checkpoint and metrics.jsonl."""
    fields = {"seconds": 100.0, "images": 960, "training_fingerprint": "training", **result}
    paths = write_run(root, config, data_fingerprint=counts.data_fingerprint, **fields)
    write_atomically(paths.per_image, counts.model_dump_json().encode())
    write_weights(paths.best, WEIGHTS)
    epochs = [{"epoch": epoch, "val/miou": 0.1 * epoch} for epoch in range(1, 5)]
    paths.metrics.write_text("".join(json.dumps(record) + "\n" for record in epochs), encoding="utf-8")
    return paths


def write_tested(paths: RunPaths, counts: PerImage, **fields: Any) -> None:
    """Scores of a counted run on a test split, with these counts of its images."""
    given: dict[str, Any] = {
        "annotations_sha256": sha256_of("test"),
        "data_fingerprint": "test",
        "images_fingerprint": "images",
    }
    given |= {"annotations": "gone/test.json", "images_dir": "gone", "also_in": {"train": 0, "val": 0}}
    given |= {"metrics": {"miou": 0.4, "AP": None}, "device": "cpu", "precision": "fp32"}
    numbers = {"images": len(counts.images.id), "persons": sum(counts.images.persons)}
    scores = SplitScores(**(given | numbers | {"checkpoint_sha256": counts.checkpoint_sha256} | fields))
    write_split_scores(paths, scores, counts)


def write_weights(checkpoint: Path, weights: str) -> None:
    """Writes a text in a checkpoint's place, and the summary of it."""
    write_atomically(checkpoint, weights.encode())
    summary = CheckpointSummary(
        experiment="made_up",
        sha256=sha256_of(weights),
        size_bytes=len(weights),
        epoch=2,
        metrics={},
        data_fingerprint="data",
    )
    write_json(summary_path(checkpoint), summary.model_dump())


def sha256_of(weights: str) -> str:
    """Of the file that :func:`write_weights` makes."""
    return hashlib.sha256(weights.encode()).hexdigest()
