"""Trainers without a run around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import (
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    read_splits,
)
from human_edge_detection.engine.device import seed_everything
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.ranks import ALONE, Ranks
from human_edge_detection.engine.teaching.distiller import Distiller
from human_edge_detection.engine.teaching.soft_labels import teacher_record
from human_edge_detection.engine.teaching.teacher import load_teachers
from human_edge_detection.engine.teaching.teachers import Teachers
from human_edge_detection.engine.training.parts import Parts
from human_edge_detection.engine.training.state import Origin, TrainingState
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths


@contextmanager
def float64_arithmetic() -> Iterator[None]:
    """All arithmetic in float64, where the rounding of one processor or another stays far below any change meant."""
    with patch.object(torch.Tensor, "float", torch.Tensor.double):  # "at least float32" in models and losses
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def trainer_of(config: ExperimentConfig, folder: Path, ranks: Ranks = ALONE) -> Trainer:
    """A trainer before its first step, built as a run builds it; its run folder lies in ``folder``."""
    device = torch.device("cpu")
    seed_everything(config.training.seed)
    student = build_model(config.model)
    people = read_splits(config.data, folder, seed=0)
    section = config.distillation
    loss = build_distillation_loss(section) if section else None
    teacher = load_teachers(section.teacher_paths, device) if section else None
    optimizer = build_optimizer(student, config.training, beside=loss.parameters() if loss else ())
    adapter = loss.adapter if loss else None
    state = TrainingState(student, optimizer, precision="fp32", adapter=adapter)
    sha256 = teacher.fingerprint if teacher else None
    distiller = None
    if section and loss and teacher:
        record = teacher_record(teacher, {"miou": None}, people.val)
        distiller = Distiller(section, loss, Teachers(teacher, None), record, teacher_score=None)
    parts = Parts(
        config=config,
        device=device,
        loading=Loading(0, False, 4),
        loss=build_loss(config),
        distiller=distiller,
        training_set=build_training_set(
            config, people.train, teacher_size=teacher.wanted_size(config.model.image_size) if teacher else None
        ),
        validation=validation_batches(build_validation_set(config.model, people.val), batch_size=4, num_workers=0),
        preview=None,
        origin=Origin(people.train.fingerprint, people.val.fingerprint, sha256),
    )
    return Trainer(parts, state, RunPaths(folder / "trainer"), ranks=ranks)
