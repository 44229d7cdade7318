"""What all terms share: arithmetic, the positions that count, and the mean over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from human_edge_detection.structures import IGNORE


class HeadTarget(NamedTuple):
    """What the annotations say about the positions of one head.

    Attributes:
        labels: ``(N, H, W)`` long, the true classes; 255 where they say nothing.
        border_band: Half width in pixels -> ``(N, H, W)`` in {0, 1}, the positions so near a change of label.
        applicable: Boolean ``(N, H, W)``, the positions where the head's question makes sense (target or non-target:
            where there is a person). None: all.
        needed: ``(N, H, W)`` float, the probability that the teacher's likeliest class must have for a position to
            count: above 0 where its class stands in for a truth that nobody knows. None: any will do.
    """

    labels: Tensor
    border_band: Callable[[int], Tensor]
    applicable: Tensor | None = None
    needed: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """Boolean ``(N, H, W)``: neither ignored nor outside the question."""
        return self.labels != IGNORE

    def only(self, mask: Tensor) -> HeadTarget:
        """The same of fewer positions: those of ``mask``, boolean ``(N, H, W)``. Borders stay where they are."""
        applicable = mask if self.applicable is None else self.applicable & mask
        return HeadTarget(self.labels.masked_fill(~mask, IGNORE), self.border_band, applicable, self.needed)


def full_precision(values: Tensor) -> Tensor:
    """At least float32: half precision has too few digits for differences of logarithms."""
    return values if values.dtype == torch.float64 else values.float()


def pair_of(student: Tensor, teacher: Tensor, *, what: str = "logits") -> tuple[Tensor, Tensor]:
    """Both in full precision, the teacher's without gradient.

    Raises:
        ValueError: Shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} {what} differ")
    return full_precision(student), full_precision(teacher.detach())


def mean_over(per_position: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``per_position`` where ``mask``, of the same shape, is true; None: everywhere. Nowhere: 0."""
    if mask is None:
        return per_position.sum() / max(per_position.numel(), 1)
    weight = mask.to(per_position.dtype)
    return (per_position * weight).sum() / weight.sum().clamp(min=1.0)
