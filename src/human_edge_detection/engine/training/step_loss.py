"""The numbers of a step: queued on the device, read from it once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from human_edge_detection.experiments.schema.heads import Over
from human_edge_detection.structures import Batch, LossOutput, LossTerm, Source


class Shares(NamedTuple):
    """Shares of a batch in the images and rois of all batches of a step, of which a loss is a mean.

    Attributes:
        truth: In those that the ground truth speaks of.
        teacher: In all.
    """

    truth: Mapping[Over, float]
    teacher: Mapping[Over, float]

    def of(self, term: LossTerm) -> float:
        """The share that the batch's value of ``term`` has in that of the step."""
        return (self.truth if term.source == "truth" else self.teacher)[term.over]


def shares_in(group: Sequence[Batch]) -> list[Shares]:
    """Of each batch of a step; the batches are on any device, and nothing is read from it."""
    everything, known = [(len(one.images), len(one.rois)) for one in group], [_labelled_in(one) for one in group]
    return [
        Shares(_shares(*mine, known), _shares(*all_, everything)) for mine, all_ in zip(known, everything, strict=True)
    ]


def _labelled_in(batch: Batch) -> tuple[int, int]:
    if batch.labelled is None:
        return len(batch.images), len(batch.rois)
    return len(batch.labelled.images), len(batch.labelled.rois)


def _shares(images: int, rois: int, of_step: Sequence[tuple[int, int]]) -> dict[Over, float]:
    all_images, all_rois = map(sum, zip(*of_step, strict=True))
    return {"images": images / max(all_images, 1), "rois": rois / max(all_rois, 1)}


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
        shares: Of the batch in the step.
    """

    loss: LossOutput
    total: Tensor
    shares: Shares

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
        each = [number * self.shares.of(term) for term, number in zip(terms, values, strict=True)]
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
