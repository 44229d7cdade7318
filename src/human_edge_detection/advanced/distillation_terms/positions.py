"""What all terms share: arithmetic, the positions that count, and the mean over them."""

from __future__ import annotations

import torch
from torch import Tensor


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
