"""Training photographs held out to see how near a student has come to its teacher, where alpha follows that."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from human_edge_detection.data.annotations.annotation_set import PeopleAnnotations, split_off
from human_edge_detection.data.loader import BatchLoader, validation_batches
from human_edge_detection.engine.build import Splits, build_validation_set
from human_edge_detection.engine.evaluation.evaluate import evaluate
from human_edge_detection.engine.teaching.teacher import Teacher
from human_edge_detection.engine.training.trainer import Parts
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, ModelConfig

_MIN_BATCH: Final = 4
"""Without gradients more images fit in memory than the training batch of a small machine."""


def hold_out(config: ExperimentConfig, splits: Splits) -> tuple[Splits, PeopleAnnotations | None]:
    """``splits`` without the training photographs that alpha is tuned on, and these; all of them, where it is not.

    Raises:
        DataError: There are too few.
    """
    if config.distillation is None or config.distillation.adaptive_alpha is None:
        return splits, None
    train, held_out = split_off(splits.train, config.distillation.adaptive_alpha.tuning_share)
    return splits._replace(train=train), held_out


def with_tuning(parts: Parts, teacher: Teacher, held_out: PeopleAnnotations) -> Parts:
    """``parts`` with ``held_out`` to measure the student on, and the teacher's score there."""
    model, settings = parts.config.model, parts.config.training

    def batches(config: ModelConfig) -> BatchLoader:
        return validation_batches(
            build_validation_set(config, held_out),
            batch_size=max(settings.batch_size, _MIN_BATCH),
            num_workers=parts.config.data.num_workers,
        )

    metrics = evaluate(
        partial(teacher.answers, mask_size=model.mask_size),
        batches(model.model_copy(update={"image_size": teacher.image_size})),
        device=parts.device,
        precision=parts.precision,
        mask_size=model.mask_size,
    )
    return replace(parts, tuning=batches(model), teacher_tuning_score=metrics["miou"])
