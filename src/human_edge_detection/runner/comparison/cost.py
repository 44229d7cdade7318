"""What methods took: time and images, and what they reach in the control's time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, Method
from human_edge_detection.runs.records import read_history


@dataclass(frozen=True)
class Effort:
    """What a method took, mean over its seeds.

    Attributes:
        method: Its name.
        seeds: Those compared.
        seconds: Of training steps.
        images: Training images seen.
        times_control: ``seconds`` over the control's.
        score_at_control_time: The best validation score (mIoU; person IoU without roi head) of the epochs that were
            done when the control's training was over. A lower bound: the learning rate was not yet down.
    """

    method: str
    seeds: tuple[int, ...]
    seconds: float
    images: int | None
    times_control: float | None
    score_at_control_time: float | None


def effort_of(method: Method, control: Method | None, seeds: tuple[int, ...]) -> Effort:
    """What ``method`` took on ``seeds``, and against ``control`` when there is one.

    Raises:
        CheckpointError: metrics.jsonl of a run is damaged.
    """
    runs = [method.runs[seed] for seed in seeds]
    images = [run.result.images for run in runs]
    seconds = float(np.mean([run.result.seconds for run in runs]))
    if control is None or control is method:
        return Effort(method.name, seeds, seconds, _mean_count(images), None, None)
    limits = [control.runs[seed].result.seconds for seed in seeds]
    scores = [_score_after(run, limit) for run, limit in zip(runs, limits, strict=True)]
    known = [score for score in scores if score is not None]
    return Effort(
        method.name,
        seeds,
        seconds,
        _mean_count(images),
        seconds / float(np.mean(limits)) if any(limits) else None,
        float(np.mean(known)) if len(known) == len(runs) else None,
    )


def _score_after(run: CountedRun, seconds: float) -> float | None:
    """The best validation score of the epochs that were done after so many seconds, each taken to last as long."""
    history = read_history(run.paths.metrics)
    share = min(1.0, seconds / run.result.seconds) if run.result.seconds else 1.0
    done = history[: math.floor(len(history) * share + 1e-9)]
    name = f"val/{run.config.model.monitored_metric}"
    return max((float(score) for record in done if (score := record.get(name)) is not None), default=None)


def _mean_count(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return round(float(np.mean(known))) if known and len(known) == len(counts) else None
