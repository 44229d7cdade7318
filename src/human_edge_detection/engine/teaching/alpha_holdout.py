"""Training images held out to see how near a student has come to its teacher, where alpha follows that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet, split_off
from human_edge_detection.data.loader import BatchLoader, validation_batches
from human_edge_detection.engine.build import Splits, build_validation_set
from human_edge_detection.engine.evaluation.evaluate import evaluate
from human_edge_detection.engine.loading import loading_of
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.teaching.teacher import Teacher
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig


class AlphaHoldout(NamedTuple):
    """Held-out training images for the student, and what the teacher scores on them (mIoU)."""

    batches: BatchLoader
    teacher_score: float | None


def hold_out(config: ExperimentConfig, splits: Splits) -> tuple[Splits, AnnotationSet | None]:
    """``splits`` without the training images that alpha is tuned on, and these; all of them, where it is not.

    Raises:
        DataError: There are too few.
    """
    if config.distillation is None or config.distillation.adaptive_alpha is None:
        return splits, None
    train, held_out = split_off(splits.train, config.distillation.adaptive_alpha.tuning_share)
    return splits._replace(train=train), held_out


def measure_holdout(
    config: ExperimentConfig,
    teacher: Teacher,
    held_out: AnnotationSet,
    *,
    device: torch.device,
    precision: Precision,
    after_batch: Callable[[], None] = lambda: None,
) -> AlphaHoldout:
    """``held_out`` at the student's size, and the teacher's score there at its own size."""
    model, loading = config.model, loading_of(config, device)

    def batches(sizes: ModelConfig) -> BatchLoader:
        return validation_batches(
            build_validation_set(sizes, held_out),
            batch_size=loading.validation_batch(sizes.image_size),
            num_workers=loading.workers,
            pin=loading.pin,
            keep_workers=sizes is model,
        )

    metrics = evaluate(
        partial(teacher.predict, mask_size=model.mask_size),
        batches(model.model_copy(update={"image_size": teacher.image_size})),
        device=device,
        precision=precision,
        mask_size=model.mask_size,
        after_batch=after_batch,
    )
    return AlphaHoldout(batches(model), metrics["miou"])
