"""per_image.json of a run: what it holds, what follows from it, and when it is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.evaluation.per_image import count_per_image
from human_edge_detection.engine.session import execute as run_module
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.metrics.scores import MetricCounts, scores
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.per_image import PerImage, person_size
from human_edge_detection.runs.records import RunResult, RunStatus, read_section

Train = Callable[..., RunResult]


@pytest.fixture(scope="module")
def config(tiny_config: ExperimentConfig) -> ExperimentConfig:
    sizes = {"image_size": [32, 32], "roi_size": [8, 8], "mask_size": [16, 12]}
    return derive(tiny_config, name="counted", model=sizes, training={"ema": {"decay": 0.5}, "learning_rate": 0.02})


@pytest.fixture(scope="module")
def finished(config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run. Read it, do not change it."""
    paths = RunPaths(tmp_path_factory.mktemp("finished") / "run")
    train(config, paths)
    return paths


def counts_of(paths: RunPaths) -> PerImage:
    counts = read_section(PerImage, paths.per_image)
    assert counts is not None
    return counts


def metrics_of(counts: PerImage) -> dict[str, Any]:
    """The metrics of the whole data set, from the counts alone."""

    def mean(values: tuple[float | None, ...]) -> Any:
        numbers = [value for value in values if value is not None]
        return np.array([sum(numbers), len(numbers)])

    values = scores(
        MetricCounts(
            np.array(counts.rois.confusion).reshape(-1, 3, 3).sum(0),
            np.array(counts.images.confusion).reshape(-1, 2, 2).sum(0),
            mean(counts.rois.target_iou),
            mean(counts.rois.boundary_f1),
        )
    )
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def test_the_metrics_of_the_best_epoch_follow_from_the_counts(finished: RunPaths) -> None:
    result = read_section(RunResult, finished.result)
    assert result is not None
    assert result.metrics["miou"] is not None
    assert metrics_of(counts_of(finished)) == pytest.approx(result.metrics, abs=1e-12)


def test_the_counts_are_those_of_the_best_checkpoint(
    finished: RunPaths, config: ExperimentConfig, tiny_coco: Path
) -> None:
    people = read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")
    dataset = PersonDataset(
        people,
        image_size=config.model.image_size,
        mask_size=config.model.mask_size,
        augmentation=None,
        max_rois=None,
        seed=0,
    )
    batches = validation_batches(dataset, batch_size=3, num_workers=0)
    counted = [
        count_per_image(path, batches, device=torch.device("cpu"), precision="fp32", after_batch=lambda: None)
        for path in (finished.best, finished.untrained)
    ]
    assert counted[0] == counts_of(finished)
    assert counted[1].rois.confusion != counted[0].rois.confusion


def test_every_image_and_person_is_there_with_its_size(finished: RunPaths, tiny_coco: Path) -> None:
    counts = counts_of(finished)
    assert counts.images.id == (1, 2, 3, 4)
    assert counts.images.persons == (2, 3, 0, 2)
    annotations = json.loads((tiny_coco / "annotations" / "instances_val.json").read_text())["annotations"]
    assert counts.rois.annotation == tuple(entry["id"] for entry in annotations)
    assert counts.rois.image == tuple(entry["image_id"] for entry in annotations)
    assert set(counts.rois.size) <= {"small", "medium"}
    assert all(sum(confusion) == 16 * 12 for confusion in counts.rois.confusion)
    assert all(sum(confusion) == 32 * 32 for confusion in counts.images.confusion)


def test_sizes_are_those_of_coco() -> None:
    sizes = [person_size(area) for area in (1, 32**2 - 1, 32**2, 96**2 - 1, 96**2)]
    assert sizes == ["small", "small", "medium", "medium", "large"]


def test_the_counts_name_what_they_were_made_from(finished: RunPaths) -> None:
    counts = counts_of(finished)
    best, sha256 = read_checkpoint(finished.best)
    assert (counts.checkpoint_sha256, counts.data_fingerprint) == (sha256, best.data_fingerprint)
    assert checkpoint_sha256(finished.best) == sha256


class Killed(BaseException):
    """In place of kill -9."""


@pytest.mark.parametrize("stop", [Killed, KeyboardInterrupt])
def test_a_run_is_finished_only_after_they_are_written(
    stop: type[BaseException], config: ExperimentConfig, finished: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")

    def stopping(*_: Any, **options: Any) -> PerImage:
        options["after_batch"]()
        assert json.loads(paths.status.read_text())["state"] == "running"
        raise stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(stop):
        patch.setattr(run_module, "count_per_image", stopping)
        train(config, paths)
    assert not paths.per_image.exists()
    assert not paths.result.exists()
    train(config, paths)
    status = read_section(RunStatus, paths.status)
    assert status is not None
    assert (status.state, status.step) == ("finished", 8)
    assert paths.per_image.read_bytes() == finished.per_image.read_bytes()


def test_a_run_of_an_older_version_gets_them_without_training(
    config: ExperimentConfig, finished: RunPaths, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the message of ``hed compare`` says: delete result.json, give the training command again."""
    paths = RunPaths(tmp_path / "run")
    train(config, paths)
    before, expected = paths.best.read_bytes(), paths.per_image.read_bytes()
    paths.per_image.unlink()
    paths.result.unlink()
    monkeypatch.setattr("human_edge_detection.engine.training.trainer.Trainer.train_step", None)
    train(config, paths)
    assert paths.best.read_bytes() == before
    assert paths.per_image.read_bytes() == expected


BAD: dict[str, tuple[str, str, Any]] = {
    "columns of different lengths": ("images", "persons", [1]),
    "an image twice": ("images", "id", [1, 1, 3, 4]),
    "a roi on no image": ("rois", "image", [9, 1, 2, 2, 2, 4, 4]),
    "a negative count": ("images", "persons", [-1, 3, 0, 2]),
    "nine counts are three": ("rois", "confusion", [[1, 2, 3]] * 7),
    "a share above one": ("rois", "target_iou", [1.5] * 7),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_contradicts_itself_is_refused(bad: str, finished: RunPaths) -> None:
    table, column, value = BAD[bad]
    content = json.loads(finished.per_image.read_text())
    assert len(content[table][column]) == len(value) or bad == "columns of different lengths"
    content[table][column] = value
    with pytest.raises(ValueError, match="PerImage"):
        PerImage.model_validate_json(json.dumps(content))
