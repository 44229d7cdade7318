"""Trainings with soft labels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from soft_label_runs import PART, VIEWS

from human_edge_detection.engine.teaching import soft_label_parts as parts_module
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    """Three parts a view."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "PART", PART)
        yield


@pytest.fixture(scope="module")
def online(distilled_config: ExperimentConfig) -> ExperimentConfig:
    """Three epochs of two views, so that one comes twice."""
    return derive(distilled_config, name="online", data={"cache_views": VIEWS}, training={"epochs": 3})


@pytest.fixture
def cached(online: ExperimentConfig, tmp_path: Path) -> ExperimentConfig:
    return derive(online, name="cached", distillation={"soft_labels": str(tmp_path / "labels")})


def scores_teacher(trainer: Trainer) -> bool:
    return trainer.parts.distiller is not None and trainer.parts.distiller.teacher_score is not None
