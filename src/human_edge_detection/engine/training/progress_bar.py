"""What a person sees while it trains: a bar with the losses and the time left, and a line for each epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.log import shows_progress, terminal

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60.0


class TrainingDisplay:
    """One bar for the steps of the whole run, one for the validation under way."""

    def __init__(self, bars: Progress, name: str, total_steps: int, done: int) -> None:
        self._bars = bars
        self._last_line = time.monotonic()
        self._task = bars.add_task(name, total=total_steps, completed=done, losses="")

    def step(self, epoch: int, epochs: int, losses: Mapping[str, float]) -> None:
        """One optimizer update done; shows these losses."""
        text = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._bars.update(self._task, advance=1, losses=f"epoch {epoch}/{epochs}  {text}")
        if self._bars.disable and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            task = self._bars.tasks[self._task]
            logger.info("epoch %d/%d, step %d of %d: %s", epoch, epochs, task.completed, task.total, text)

    @contextmanager
    def validating(self, batches: int, name: str = "validating") -> Iterator[TrainingDisplay]:
        """Shows a second bar; :meth:`validated` moves it."""
        self._validation = self._bars.add_task(name, total=batches, losses="")
        try:
            yield self
        finally:
            self._bars.remove_task(self._validation)

    def validated(self) -> None:
        """One validation batch done."""
        self._bars.advance(self._validation)


@contextmanager
def training_display(name: str, *, total_steps: int, done: int, shown: bool = True) -> Iterator[TrainingDisplay]:
    """A live display on the terminal; where stderr is no terminal, a log line a minute.

    Args:
        name: Of what is trained.
        total_steps: Optimizer updates in all.
        done: Those that are done.
        shown: Another process of the same run shows it (false).
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=terminal(), transient=True, disable=not (shown and shows_progress())) as bars:
        yield TrainingDisplay(bars, name, total_steps, done)


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
