"""The numbers of a step: queued on the device, read from it once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from human_edge_detection.structures import LossOutput, LossTerm, Source


class NamedLosses(NamedTuple):
    """The losses of one batch of a step, read.

    Attributes:
        losses: The total, each term and each confident share, by name.
        sums: What the terms of the truth (``hard``) and of a teacher (``soft``) add to the total.
        not_finite: Who gave the targets of the terms that are not finite; None: all is finite.
    """

    losses: dict[str, float]
    sums: dict[str, float]
    not_finite: frozenset[Source] | None


class StepLoss(NamedTuple):
    """The loss of one batch of a step, not yet read from the device.

    Attributes:
        loss: Its terms.
        total: Scalar, detached: what is learnt from, the shares included.
        shares: Of the batch in the rois and in the images of the step.
    """

    loss: LossOutput
    total: Tensor
    shares: Mapping[str, float]

    @property
    def numbers(self) -> Tensor:
        """``(n,)``: the total, the terms, and the confident shares; of these two the plain values."""
        terms = (*self.loss.terms, *self.loss.confident)
        return torch.stack([self.total, *(term.value.detach().to(self.total) for term in terms)])

    def named(self, numbers: Iterator[float], *, with_soft: bool) -> NamedLosses:
        """The losses of this batch.

        Args:
            numbers: What :attr:`numbers` holds, read; what comes after it is left.
            with_soft: Somebody teaches: what the teacher adds has a sum of its own.
        """
        terms = (*self.loss.terms, *self.loss.confident)
        whole, *values = islice(numbers, 1 + len(terms))
        each = [number * self.shares[term.over] for term, number in zip(terms, values, strict=True)]
        losses = {"total": whole} | {term.name: number for term, number in zip(terms, each, strict=True)}
        sums = {"hard": _part_of("truth", terms, each)}
        if with_soft:
            sums["soft"] = _part_of("teacher", terms, each)
        sources = {term.source for term, number in zip(terms, each, strict=True) if not math.isfinite(number)}
        is_finite = all(map(math.isfinite, losses.values()))
        return NamedLosses(losses, sums, None if is_finite else frozenset(sources))


def read_once(numbers: Tensor) -> list[float]:
    """The one transfer of a step from the device."""
    found: list[float] = numbers.tolist()
    return found


def _part_of(source: Source, terms: Sequence[LossTerm], values: Sequence[float]) -> float:
    """What the terms of ``source`` add to the total, their weights and alpha included."""
    return math.fsum(term.weight * value for term, value in zip(terms, values, strict=True) if term.source == source)
