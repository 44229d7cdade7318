"""What a person reads of a step and of an epoch."""

from __future__ import annotations

from collections.abc import Mapping

from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.evaluation.evaluate import Metrics


def shown_losses(values: Mapping[str, float]) -> dict[str, float]:
    """The losses that fit beside a progress bar: the total and, where somebody teaches, the parts that add up to it."""
    return {"loss": values["total"]} | ({name: values[name] for name in ("hard", "soft")} if "soft" in values else {})


def epoch_line(
    progress: TrainingProgress, epochs: int, training: Mapping[str, float], metrics: Metrics, *, is_best: bool
) -> str:
    """The line of the log about the epoch completed last."""
    scores = {name: metrics[name] for name in ("miou", "iou_nontarget", "full_image_iou")}
    shown = [f"val {name} {score:.4f}" for name, score in scores.items() if score is not None]
    best = " (best)" if is_best else ""
    sums = f" (hard {training['hard']:.4f} + soft {training['soft']:.4f})" if "soft" in training else ""
    return f"epoch {progress.epoch}/{epochs}: loss {training['total']:.4f}{sums}, {', '.join(shown)}{best}"
