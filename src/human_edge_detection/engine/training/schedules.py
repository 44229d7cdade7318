"""The learning rate as a pure function of the step: nothing to store, nothing to restore."""

from __future__ import annotations

import math


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
