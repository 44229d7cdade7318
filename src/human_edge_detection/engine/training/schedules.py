"""Schedules as pure functions of the step: nothing to store, nothing to restore."""

from __future__ import annotations

import math
from typing import Literal

Curve = Literal["constant", "linear", "cosine", "exponential"]


def learning_rate_factor(step: int, total_steps: int, *, warmup_fraction: float, final_fraction: float) -> float:
    """Linear warm-up, then a cosine (Loshchilov & Hutter, arXiv:1608.03983).

    Args:
        step: Updates done so far, from 0.
        total_steps: Updates of the whole run.
        warmup_fraction: Share of the steps that rise linearly.
        final_fraction: What is left at the end.

    Returns:
        Factor of the learning rate in (0, 1].
    """
    warmup = round(warmup_fraction * total_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))


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
        teacher: Its score on the same data; at 0 there is nothing to follow, and the answer is ``low``.
        low: Smallest weight.
        high: Largest weight.
        from_share: In [0, 1).
    """
    if teacher <= 0.0:
        return low
    way = (student / teacher - from_share) / (1.0 - from_share)
    return high - (high - low) * min(max(way, 0.0), 1.0)
