"""Where a training run stands: plain numbers that go into a checkpoint and come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, FiniteFloat, ValidationError

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.runs.records import EpochRecord, problem_of

Count = Annotated[int, Field(ge=0)]


class TrainingProgress(Section):
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

    model_config = ConfigDict(frozen=False, allow_inf_nan=True)

    epoch: Count = 0
    batch: Count = 0
    step: Count = 0
    sums: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, Count] = Field(default_factory=dict)
    gradient_shares: dict[str, float] = Field(default_factory=dict)
    history: list[EpochRecord] = Field(default_factory=list)
    scores: list[float] = Field(default_factory=list)
    best_epoch: Count = 0
    best_score: float = Field(float("-inf"), ge=float("-inf"), description="No NaN: nothing is above it.")
    seconds: FiniteFloat = 0.0
    images: Count = 0

    def to_state(self) -> dict[str, Any]:
        """As plain data, for a checkpoint."""
        return self.model_dump()

    @classmethod
    def from_state(cls, state: Any, *, source: str = "progress") -> TrainingProgress:
        """From :meth:`to_state`.

        Raises:
            CheckpointError: A field is missing, unknown or of another kind; ``<source>: <field>``.
        """
        try:
            progress = cls.model_validate(state)
        except ValidationError as error:
            raise CheckpointError(f"{source}: progress: {problem_of(error)}") from error
        missing = sorted(cls.model_fields.keys() - progress.model_fields_set)
        if missing:
            raise CheckpointError(f"{source}: progress: {missing[0]}: missing")
        return progress

    def add(self, values: Mapping[str, float]) -> None:
        """Adds one step's values to the sums of this epoch."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean over the steps of this epoch that had the value, by name."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def finish_epoch(self, record: EpochRecord, score: float) -> bool:
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

    def take_last_as_best(self) -> None:
        """Makes the epoch completed last the best so far."""
        self.best_epoch, self.best_score = self.epoch, self.scores[-1]

    def epochs_without_gain(self, min_delta: float) -> int:
        """Epochs since the monitored metric last rose by more than ``min_delta`` over its best until then."""
        best, since = float("-inf"), 0
        for score in self.scores:
            gained = score > best + min_delta
            best, since = (score, 0) if gained else (best, since + 1)
        return since
