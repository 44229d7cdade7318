"""How strongly the teacher pulls in an epoch: temperature and alpha, from the config and the epochs before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from human_edge_detection.engine.training.schedules import adaptive_alpha, scheduled
from human_edge_detection.experiments.schema.distillation import DistillationConfig

TUNING_SCORE: Final = "tuning/miou"
TEACHER_TUNING_SCORE: Final = "tuning/teacher_miou"


class Strength(NamedTuple):
    """Temperature and alpha of one epoch."""

    temperature: float
    alpha: float


def strength_in(
    config: DistillationConfig, history: Sequence[Mapping[str, float | int | None]], *, epochs: int
) -> Strength:
    """Temperature and alpha of the epoch after ``history``; nothing to store, nothing to restore.

    Args:
        config: Where they start and how they change.
        history: Records of the epochs so far.
        epochs: Of the whole run.
    """
    epoch = len(history)
    temperature, alpha = config.temperature, config.alpha
    if config.temperature_schedule is not None:
        curve = config.temperature_schedule
        temperature = scheduled(curve.curve, temperature, curve.end, epoch=epoch, epochs=epochs)
    if config.alpha_schedule is not None:
        alpha = scheduled(config.alpha_schedule.curve, alpha, config.alpha_schedule.end, epoch=epoch, epochs=epochs)
    if config.adaptive_alpha is not None:
        rule = config.adaptive_alpha
        student, teacher = (
            (history[-1][name] for name in (TUNING_SCORE, TEACHER_TUNING_SCORE)) if history else (0.0, 1.0)
        )
        alpha = adaptive_alpha(student or 0.0, teacher or 0.0, low=rule.low, high=rule.high, from_share=rule.from_share)
    return Strength(temperature, alpha)
