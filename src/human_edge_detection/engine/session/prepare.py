"""Everything before the first step: parts built, weights loaded, the teacher measured, an earlier state restored."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.data.dataset import PeopleDataset, collate
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import (
    Splits,
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    load_encoder,
    read_splits,
)
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.checkpoints.resume_state import check_training_state
from human_edge_detection.engine.checkpoints.save_policy import mend_best, newest_good_checkpoint
from human_edge_detection.engine.device import (
    Precision,
    choose_device,
    choose_precision,
    keep_freed_memory,
    make_deterministic,
    seed_everything,
)
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.teaching.soft_labels import SoftLabels, open_soft_labels
from human_edge_detection.engine.teaching.teacher import Teacher, check_teacher, load_teachers
from human_edge_detection.engine.training.alpha_holdout import hold_out, with_tuning
from human_edge_detection.engine.training.trainer import Parts, Trainer
from human_edge_detection.engine.training.writers import write_metrics
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths, scan_cache
from human_edge_detection.structures import Batch

logger = logging.getLogger(__name__)

_MIN_VALIDATION_BATCH = 4
"""Without gradients more images fit in memory than the training batch of a small machine."""


class Prepared(NamedTuple):
    """A trainer that is ready to go, and what its teacher scored on the validation data."""

    trainer: Trainer
    teacher_metrics: Metrics | None


def prepare_training(
    config: ExperimentConfig, paths: RunPaths, *, resume: Path | None, init_from: Path | None, sample_root: Path
) -> Prepared:
    """Builds and checks everything; writes nothing into the run folder but the untrained weights of a new run.

    Args:
        config: The experiment; its dependencies (teacher, pre-trained U-Net) resolved to paths.
        paths: The run folder; it need not exist.
        resume: Checkpoint to continue from; None: the newest good one of the folder, if there is any.
        init_from: Checkpoint whose weights a new run starts from.
        sample_root: Where the embedded sample data are, or will be made.

    Raises:
        HumanEdgeDetectionError: As its subclasses say.
    """
    device = choose_device(config.training.device)
    keep_freed_memory()
    make_deterministic(device, wanted=config.training.deterministic)
    start = newest_good_checkpoint(paths) if resume is None else read_checkpoint(resume)[0]
    if start is not None and start.training is None:
        raise CheckpointError(f"--resume {resume}: holds weights only; use --init_from, or resume from latest.pth")
    teacher = _load_teacher(config, device)
    splits, held_out = hold_out(config, read_splits(config.data, sample_root, scan_cache=scan_cache(config.data)))
    soft_labels = open_soft_labels(config, splits)
    # Here, after the teacher has been built: with and without one, a student starts from the same weights.
    seed_everything(config.training.seed)
    student = _new_student(config, fresh=start is None, init_from=init_from)
    precision = _precision(config.training.precision, device, start)
    parts = _parts(config, student, teacher or soft_labels, splits, device, precision)
    if teacher is not None and held_out is not None:
        parts = with_tuning(parts, teacher, held_out)
    trainer = Trainer(parts, paths)
    if start is not None:
        _restore(trainer, start, resume or paths.latest)
    else:
        _read_one_sample(trainer.parts.training_set)
    teacher_metrics: Metrics | None = None
    if soft_labels is not None:
        teacher_metrics = soft_labels.metadata.teacher.metrics[splits.val.fingerprint]
    if teacher is not None:
        teacher_metrics = _measure_teacher(teacher, trainer.parts, splits)
    trainer.teacher_score = teacher_metrics["miou"] if teacher_metrics else None
    write_metrics(paths.metrics, trainer.progress.history)
    if start is None:
        save_checkpoint(paths.untrained, Checkpoint(config, student.state_dict(), 0, {}, splits.val.fingerprint))
    return Prepared(trainer, teacher_metrics)


def _parts(
    config: ExperimentConfig,
    student: RgbPersonSegmenter,
    taught_by: Teacher | SoftLabels | None,
    splits: Splits,
    device: torch.device,
    precision: Precision,
) -> Parts:
    teacher = taught_by if isinstance(taught_by, Teacher) else None
    soft_labels = taught_by if isinstance(taught_by, SoftLabels) else None
    settings = config.training
    distillation = build_distillation_loss(config.distillation) if config.distillation else None
    if distillation is not None and distillation.adapter is not None:
        distillation.adapter.to(device)
    teacher_size = teacher.wanted_size(config.model.image_size) if teacher else None
    student.to(device).to(memory_format=torch.channels_last)
    training_set = build_training_set(config, splits.train, teacher_size=teacher_size, stored_answers=soft_labels)
    validation_set = build_validation_set(config.model, splits.val)
    logger.info(
        "%s: %d training and %d validation images, %s, %s",
        config.name,
        len(training_set),
        len(validation_set),
        device,
        precision,
    )
    return Parts(
        config=config,
        device=device,
        precision=precision,
        student=student,
        optimizer=build_optimizer(student, settings, beside=distillation.parameters() if distillation else ()),
        loss=build_loss(config),
        distillation=distillation,
        teacher=teacher,
        training_set=training_set,
        validation=validation_batches(
            validation_set,
            batch_size=max(settings.batch_size, _MIN_VALIDATION_BATCH),
            num_workers=config.data.num_workers,
        ),
        preview=_preview(
            build_validation_set(config.model, splits.val, teacher_size=teacher_size), settings.visualize_images
        ),
        skipped=(*splits.train.skipped, *splits.val.skipped),
        data_fingerprint=splits.val.fingerprint,
        soft_labels=soft_labels,
    )


def _precision(wanted: str, device: torch.device, start: Checkpoint | None) -> Precision:
    """For ``auto`` that of the run so far: on another machine another one may be the quickest."""
    so_far = start.training.get("precision") if start is not None and start.training is not None else None
    if wanted == "auto" and so_far in get_args(Precision):
        wanted = str(so_far)
    return choose_precision(wanted, device)


def _measure_teacher(teacher: Teacher, parts: Parts, splits: Splits) -> Metrics:
    return check_teacher(
        teacher,
        splits.val,
        device=parts.device,
        precision=parts.precision,
        batch_size=max(parts.config.training.batch_size, _MIN_VALIDATION_BATCH),
        num_workers=parts.config.data.num_workers,
    )


def _load_teacher(config: ExperimentConfig, device: torch.device) -> Teacher | None:
    distillation = config.distillation
    if distillation is None or distillation.soft_labels is not None:
        return None
    if distillation.teacher_checkpoint is None:
        raise CheckpointError(f"{config.name}: no teacher; give --teacher_checkpoint PATH")
    return load_teachers(distillation.teacher_paths, device)


def _new_student(config: ExperimentConfig, *, fresh: bool, init_from: Path | None) -> RgbPersonSegmenter:
    """The student with the weights that a fresh run starts from; a resumed one gets its own weights afterwards."""
    student = build_model(config.model)
    if not fresh:
        return student
    if init_from is not None:
        checkpoint, _ = read_checkpoint(init_from)
        load_strictly(student, checkpoint.model, source=f"--init_from {init_from}: not the weights of {config.name}")
    elif config.model.pretrained_unet is not None:
        path = Path(config.model.pretrained_unet)
        checkpoint, _ = read_checkpoint(path)
        prefix = "unet."
        unet = {name.removeprefix(prefix): value for name, value in checkpoint.model.items() if name.startswith(prefix)}
        source = f"--pretrained_unet {path}: not a U-Net with {config.model.encoder}"
        load_strictly(student.unet, unet, source=source)
        logger.info("U-Net starts from %s (%s)", path, checkpoint.config.name)
    else:
        load_encoder(student, config.model)
    return student


def _read_one_sample(training_set: PeopleDataset) -> None:
    """So that photographs which cannot be read stop a run before its folder is made."""
    training_set[(0, 0)]


def _preview(validation_set: PeopleDataset, count: int) -> Batch | None:
    with_people = np.flatnonzero(validation_set.people.photographs.person_counts).tolist()
    count = min(count, len(with_people))
    # Evenly spread: files of one source often stand together.
    chosen = [with_people[number * len(with_people) // count] for number in range(count)]
    return collate([validation_set[(0, index)] for index in chosen]) if chosen else None


def _restore(trainer: Trainer, checkpoint: Checkpoint, path: Path) -> None:
    """Puts the state in ``checkpoint``, read from ``path``, into ``trainer``, all of it."""
    state, parts = checkpoint.training, trainer.parts
    assert state is not None  # prepare_training has looked
    source = f"resume {path}: not the weights of {parts.config.name}"
    load_strictly(parts.student if trainer.ema is None else trainer.ema.model, checkpoint.model, source=source)
    adapter = parts.distillation.adapter if parts.distillation else None
    check_training_state(state, parts.optimizer, trainer.scaler, source=f"resume {path}", adapter=adapter is not None)
    if adapter is not None:
        load_strictly(adapter, state["adapter"], source=f"resume {path}: not the adapter of {parts.config.name}")
    if trainer.ema is not None:
        load_strictly(parts.student, state["student"], source=source)
    if state["teacher_sha256"] != parts.teacher_sha256:
        raise CheckpointError(
            f"resume {path}: was taught by another teacher (sha256 {str(state['teacher_sha256'])[:12]}, "
            f"now {str(parts.teacher_sha256)[:12]}); give that teacher again, or start anew with --run_name"
        )
    fingerprints = (state["training_fingerprint"], checkpoint.data_fingerprint)
    if fingerprints != (parts.training_set.people.fingerprint, parts.data_fingerprint):
        raise CheckpointError(
            f"resume {path}: the annotations have changed since this run began, and a run on two data sets would be "
            "neither; restore them, or start anew with --run_name"
        )
    parts.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.progress = TrainingProgress.from_state(state["progress"])
    if trainer.progress.best_epoch:
        mend_best(trainer.paths, trainer.progress.best_epoch)
    logger.info("continuing after epoch %d, step %d (%s)", trainer.progress.epoch, trainer.progress.step, path)
