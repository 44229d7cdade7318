"""Twenty seeded steps of a distilled run, against recorded losses: what changed the arithmetic without meaning to?

A change that means to (another loss, another augmentation, another order of the data) records them anew:

    HED_RECORD_GOLDEN=1 uv run pytest tests/golden

and the difference of ``distilled_steps.json`` goes into the same commit, with the reason. Small drifts between
processors are inside the tolerance; a value that is off by more is a change.
"""

import json
import os
from pathlib import Path

import pytest
import torch

from human_edge_detection.advanced.knowledge_distillation import FrozenTeacher
from human_edge_detection.data.loader import training_batches, validation_batches
from human_edge_detection.engine.build import (
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    read_splits,
)
from human_edge_detection.engine.checkpoint import Checkpoint
from human_edge_detection.engine.device import make_deterministic, seed_everything
from human_edge_detection.engine.teacher import Teacher
from human_edge_detection.engine.trainer import Parts, Trainer
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.schema import ExperimentConfig, derive

FILE = Path(__file__).with_name("distilled_steps.json")
STEPS = 20
TOLERANCE = 1e-3
"""Relative, for each term of each step."""


def twenty_steps(config: ExperimentConfig, folder: Path) -> list[dict[str, float]]:
    """The values of every step. The teacher is a random network: only that it is always the same one matters here."""
    device = torch.device("cpu")
    make_deterministic(device)
    seed_everything(1)
    teacher_config = derive(config, name="golden_teacher", distillation=None)
    teacher = build_model(teacher_config.model)
    seed_everything(0)
    student = build_model(config.model)
    people = read_splits(config.data, folder)
    assert config.distillation is not None
    parts = Parts(
        config=config,
        device=device,
        precision="fp32",
        student=student,
        optimizer=build_optimizer(student, config.training),
        loss=build_loss(config),
        distillation=build_distillation_loss(config.distillation),
        teacher=Teacher(
            answer=FrozenTeacher(teacher, image_size=config.model.image_size),
            checkpoint=Checkpoint(teacher_config, {}, 0, {}, ""),
            path=folder,
            sha256="",
            parameters=0,
        ),
        training_set=build_training_set(config, people.train),
        validation=validation_batches(build_validation_set(config.model, people.val), batch_size=4, num_workers=0),
        preview=None,
        data_fingerprint="",
    )
    trainer = Trainer(parts, RunPaths(folder))
    stream = training_batches(
        parts.training_set, batch_size=2, seed=0, start_epoch=0, start_batch=0, epochs=5, num_workers=0
    )
    return [trainer.train_step([batch]) for _, batch in zip(range(STEPS), stream, strict=True)]


def test_twenty_steps_are_as_recorded(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(
        tiny_config,
        name="golden",
        model={
            "encoder": "timm-efficientnet-b0",
            "head_channels": 16,
            "contour": {"loss_weight": 0.5},
            "distance": {"loss_weight": 0.5},
        },
        loss={"boundary": {"weight": 2.0}, "class_weights": [1.0, 1.5, 2.0]},
        distillation={"teacher_config": "golden_teacher"},
        training={"epochs": 5, "learning_rate": 3e-4},
    )
    steps = twenty_steps(config, tmp_path)
    if os.environ.get("HED_RECORD_GOLDEN"):
        FILE.write_text(json.dumps(steps, indent=1) + "\n", encoding="utf-8")
        pytest.skip(f"recorded {FILE.name}")
    recorded = json.loads(FILE.read_text(encoding="utf-8"))
    assert len(recorded) == STEPS
    for number, (step, expected) in enumerate(zip(steps, recorded, strict=True), start=1):
        assert step == pytest.approx(expected, rel=TOLERANCE), f"step {number}"
