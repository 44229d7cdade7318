"""What to change when a loss or a gradient is not finite: the causes, the likeliest first."""

from __future__ import annotations

from collections.abc import Set

from human_edge_detection.engine.precision import Precision
from human_edge_detection.structures import Source


def not_finite_advice(
    sources: Set[Source], *, precision: Precision, learning_rate: float, temperature: float | None, updates: int
) -> str:
    """What to try, in the order of likelihood, and what need not be tried.

    Where the truth's terms are not finite the student's own output is not, whatever the teacher says: it diverged, or a
    value left the range of half precision. Where only the teacher's terms are not finite the student is well, so it is
    what the teacher says, which fp16 can cut off, or how it is softened.

    Args:
        sources: Who gave the targets of the terms that were not finite; empty: it was the gradient, or the sum alone.
        precision: Of the steps.
        learning_rate: As the config has it.
        temperature: Of the epoch; None: there is no teacher.
        updates: Made before; without any, the learning rate has had no effect.
    """
    causes = {"learning rate": f"lower --learning_rate (now {learning_rate:g})"} if updates else {}
    if precision != "fp32":
        causes["precision"] = f"use --precision fp32 (now {precision})"
    if temperature is not None:
        way = "lower" if temperature > 1.0 else "raise"
        causes["temperature"] = f"{way} --distillation_temperature (now {temperature:g})"
    order = ["learning rate", "precision", "temperature"]
    if sources == {"teacher"}:
        # bf16 has the range of float32, so there it is rather the temperature.
        order = ["precision", "temperature"] if precision == "fp16" else ["temperature", "precision"]
        order.append("learning rate")
    tried = [causes[name] for name in order if name in causes]
    parts = [f"likeliest cause first: {', '.join(tried)}" if tried else "look at the weights that it starts from"]
    if not updates:
        parts.append("no update was made yet, so it is not the learning rate")
    if precision == "fp32":
        parts.append("precision is fp32 already")
    return "; ".join(parts)
