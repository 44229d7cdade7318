"""Where a training run stands: plain numbers that go into a checkpoint and come back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from human_edge_detection.errors import CheckpointError

Record = dict[str, float | int | None]


@dataclass
class TrainingProgress:
    """Position and record of a run.

    Attributes:
        epoch: Epochs completed, validation included.
        batch: Batches done of the epoch under way.
        step: Optimizer updates done.
        sums: Sums over the steps of the epoch under way, by name.
        counts: Steps that had such a value; a batch without persons has no loss of a roi head.
        gradient_shares: Shares of the terms in the gradient, measured at the start of the epoch under way.
        history: One record for each completed epoch.
        scores: The monitored metric of each completed epoch.
        best_epoch: Epoch of the best score so far, from 1; 0 before the first validation.
        best_score: Its monitored metric.
        seconds: Time spent in training steps and waiting for their data.
        images: Training images seen.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    gradient_shares: dict[str, float] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    seconds: float = 0.0
    images: int = 0

    def to_state(self) -> dict[str, Any]:
        """As plain data, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Any, *, source: str = "progress") -> TrainingProgress:
        """From :meth:`to_state`.

        Raises:
            CheckpointError: A field is missing, unknown or of another kind; ``<source>: <field>``.
        """
        empty = cls().to_state()
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{source}: expected the fields of progress, got {type(state).__name__}")
        different = sorted(map(str, state.keys() ^ empty.keys()))
        if different:
            raise CheckpointError(f"{source}: progress {different[0]} is missing or unknown")
        for name, value in state.items():
            if not _is_like(value, empty[name], name):
                raise CheckpointError(f"{source}: progress {name} is damaged")
        return cls(**state)

    def add(self, values: Mapping[str, float]) -> None:
        """Adds one step's values to the sums of this epoch."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean over the steps of this epoch that had the value, by name."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def finish_epoch(self, record: Record, score: float) -> bool:
        """Closes the epoch; True when it is the best so far."""
        self.epoch += 1
        self.batch = 0
        self.sums, self.counts, self.gradient_shares = {}, {}, {}
        self.history.append(record)
        self.scores.append(score)
        if score > self.best_score:
            self.best_epoch, self.best_score = self.epoch, score
            return True
        return False

    def epochs_without_gain(self, min_delta: float) -> int:
        """Epochs since the monitored metric last rose by more than ``min_delta`` over its best until then."""
        best, since = float("-inf"), 0
        for score in self.scores:
            gained = score > best + min_delta
            best, since = (score, 0) if gained else (best, since + 1)
        return since


def _is_like(value: Any, empty: Any, name: str) -> bool:
    """Whether ``value`` can be what ``empty`` is for a new run: a count, a time, values by name, a list of them."""
    if name == "history":
        return isinstance(value, list) and all(map(_is_record, value))
    if name == "scores":
        return isinstance(value, list) and all(type(score) is float for score in value)
    if isinstance(empty, dict):
        return _is_record(value) and None not in value.values()
    if type(empty) is int:
        return type(value) is int and value >= 0
    return type(value) is float and not math.isnan(value)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and (number is None or type(number) in (int, float)) for name, number in value.items()
    )
