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


class ImagesAndRois(NamedTuple):
    """How many images and rois."""

    images: int
    rois: int


class Counts(NamedTuple):
    """What one batch of a step holds.

    Attributes:
        known: What the ground truth speaks of.
        everything: All.
    """

    known: ImagesAndRois
    everything: ImagesAndRois


def counts_in(batch: Batch) -> Counts:
    """Of a batch on any device; nothing is read from it."""
    everything = ImagesAndRois(len(batch.images), len(batch.rois))
    if batch.labelled is None:
        return Counts(everything, everything)
    return Counts(ImagesAndRois(len(batch.labelled.images), len(batch.labelled.rois)), everything)


def shares_in(step: Sequence[Sequence[Counts]]) -> list[list[Shares]]:
    """Of each batch of a step, for each process the shares of its batches in those of all."""
    everyone = [counts for mine in step for counts in mine]
    known, everything = [one.known for one in everyone], [one.everything for one in everyone]
    return [[Shares(_shares(one.known, known), _shares(one.everything, everything)) for one in mine] for mine in step]


def _shares(mine: ImagesAndRois, of_step: Sequence[ImagesAndRois]) -> dict[Over, float]:
    images, rois = sum(one.images for one in of_step), sum(one.rois for one in of_step)
    return {"images": mine.images / max(images, 1), "rois": mine.rois / max(rois, 1)}


class NamedLosses(NamedTuple):
    """The losses of one batch of a step, read.

    Attributes:
        losses: The total, each term and each confident share, by name.
        sums: What the terms of the truth (``hard``) and of a teacher (``soft``) add to the total.
        not_finite: Who gave the targets of the terms that are not finite; None: all is finite.
        taught: Names of the terms that a teacher gave.
        confident: Names of the confident shares.
    """

    losses: dict[str, float]
    sums: dict[str, float]
    not_finite: frozenset[Source] | None
    taught: frozenset[str]
    confident: frozenset[str]


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
        taught = frozenset(term.name for term in self.loss.terms if term.source == "teacher")
        confident = frozenset(term.name for term in self.loss.confident)
        return NamedLosses(losses, sums, None if is_finite else frozenset(sources), taught, confident)


def read_once(numbers: Tensor) -> list[float]:
    """The one transfer of a step from the device."""
    found: list[float] = numbers.tolist()
    return found


def _part_of(source: Source, terms: Sequence[LossTerm], values: Sequence[float]) -> float:
    """What the terms of ``source`` add to the total, their weights and alpha included."""
    return math.fsum(term.weight * value for term, value in zip(terms, values, strict=True) if term.source == source)
