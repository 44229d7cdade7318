"""What tests of soft labels do again and again, on views and images of so many."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.data.loader import training_batches
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.engine.teaching import teacher as teacher_module
from human_edge_detection.engine.teaching.soft_label_writer import write_soft_labels
from human_edge_detection.engine.teaching.soft_labels import SoftLabels
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.structures import Batch

VIEWS, IMAGES, PART = 2, 8, 3


def scores_teacher(trainer: Trainer) -> bool:
    return trainer.parts.distiller is not None and trainer.parts.distiller.teacher_score is not None


def write(config: ExperimentConfig, tmp_path: Path) -> SoftLabels:
    return write_soft_labels(config, sample_root=tmp_path)


def trainer_of(config: ExperimentConfig, tmp_path: Path) -> Trainer:
    paths = RunPaths(tmp_path / config.name)
    return prepare_training(config, paths, resume=None, sample_root=tmp_path)


def batches_of(trainer: Trainer) -> Iterator[Batch]:
    settings = trainer.parts.config.training
    return training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start_epoch=0,
        start_batch=0,
        epochs=settings.epochs,
        num_workers=trainer.parts.loading.workers,
    )


def forbid_teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "load_teacher", lambda *_: pytest.fail("a teacher was loaded"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def interrupted_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, with Ctrl-C in place of the call after ``calls`` of them."""
    done = 0

    def interrupted(*args: Any) -> Any:
        nonlocal done
        done += 1
        if done > calls:
            raise KeyboardInterrupt
        return function(*args)

    return interrupted
