"""How strongly the teacher pulls in an epoch: temperature and alpha, from the config and the epochs before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from human_edge_detection.experiments.schema.distillation import DistillationConfig

Curve = Literal["constant", "linear", "cosine", "exponential"]
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


def scheduled(curve: Curve, start: float, end: float, *, epoch: int, epochs: int) -> float:
    """A value that goes from ``start`` in the first epoch to ``end`` in the last one.

    Args:
        curve: ``linear``; ``cosine``: slow, fast, slow; ``exponential``: by the same factor each epoch, for which both
            must be above 0; ``constant``: stays at ``start``.
        start: In epoch 0.
        end: In epoch ``epochs - 1``.
        epoch: From 0.
        epochs: Of the whole run.
    """
    share = min(epoch / max(epochs - 1, 1), 1.0)
    if curve == "linear":
        return start + (end - start) * share
    if curve == "cosine":
        return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))
    if curve == "exponential":
        return start * math.pow(end / start, share)
    return start


def adaptive_alpha(student: float, teacher: float, *, low: float, high: float, from_share: float) -> float:
    """The weight of distillation for a student that has come so near to its teacher.

    ``high`` while the student scores less than ``from_share`` of the teacher, then falling linearly to ``low``, which
    it reaches with the teacher's score: who knows as much as the teacher learns more from the truth.

    Args:
        student: Its score, above or equal 0.
        teacher: Its score on the same data; at 0 there is nothing to follow, and the output is ``low``.
        low: Smallest weight.
        high: Largest weight.
        from_share: In [0, 1).
    """
    if teacher <= 0.0:
        return low
    way = (student / teacher - from_share) / (1.0 - from_share)
    return high - (high - low) * min(max(way, 0.0), 1.0)
