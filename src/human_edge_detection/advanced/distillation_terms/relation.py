"""Distillation of relations (DIST): correlation of the outputs instead of their difference."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, mean_over, pair_of
from human_edge_detection.experiments.schema.distillation import DistConfig

_EPSILON = 1e-8


def relation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """One minus the correlation (Pearson) of the probabilities: over a position's classes, over a class's positions.

    Source: Huang et al., "Knowledge Distillation from A Stronger Teacher" (DIST), arXiv:2205.10536. A student that is
    less sure than a much larger teacher, but in the same order, has nothing to mend. Each position of a mask is a
    sample here, as in the paper's segmentation. We differ in two points. No factor ``temperature**2``: a correlation
    does not shrink with the temperature, nor does its gradient. And with two classes the relation between classes is
    left out: it is +1 or -1, without gradient.

    Size of the gradient for one logit: at most ``1 / (temperature * spread * positions)`` for each part, the spread
    being the standard deviation of the student's probabilities over what is correlated; at high temperatures it does
    not depend on the temperature.

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``.
        teacher_logits: The same shape; no gradient flows into it.
        temperature: Above 0; the paper uses 1.
        inter_weight: Of the relation between classes; the paper's beta.
        intra_weight: Of the relation between positions; the paper's gamma.
        mask: Boolean, ``(N)`` or ``(N, H, W)``: the positions that count. None: all.

    Returns:
        Scalar in [0, 2 * (inter_weight + intra_weight)]; 0 when no position counts.

    Raises:
        ValueError: Shapes differ.
    """
    student, teacher = (
        functional.softmax(logits / temperature, dim=1) for logits in pair_of(student_logits, teacher_logits)
    )
    classes = student.shape[1]
    rows = [maps.movedim(1, 0).reshape(classes, -1) for maps in (student, teacher)]
    counted = None if mask is None else mask.reshape(-1)
    if rows[0].shape[1] == 0:
        return student.sum()
    intra = _one_minus_correlation(*(_centred(row, counted) for row in rows), dim=1).mean()
    if counted is not None:
        intra = intra * counted.any()
    if classes == 2:
        return intra_weight * intra
    inter = _one_minus_correlation(*(row - row.mean(dim=0) for row in rows), dim=0)
    return inter_weight * mean_over(inter, counted) + intra_weight * intra


def _centred(rows: Tensor, counted: Tensor | None) -> Tensor:
    """``(C, M)`` minus the mean of each row over the positions that count; 0 at the others."""
    if counted is None:
        return rows - rows.mean(dim=1, keepdim=True)
    weight = counted.to(rows.dtype)
    # A product with ``@`` would be float16 under autocast, which ends at 65504: 7 rois, and the sum is infinite.
    mean = (rows * weight).sum(dim=1, keepdim=True) / weight.sum().clamp(min=1.0)
    return (rows - mean) * weight


def _one_minus_correlation(student: Tensor, teacher: Tensor, *, dim: int) -> Tensor:
    product, own, taught = ((a * b).sum(dim) for a, b in ((student, teacher), (student, student), (teacher, teacher)))
    return 1.0 - product * (own * taught).clamp(min=_EPSILON**2).rsqrt()


def _dist(settings: DistConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    return relation_loss(
        student,
        teacher,
        temperature,
        inter_weight=settings.inter_weight,
        intra_weight=settings.intra_weight,
        mask=target.known,
    )


LOGIT_TERMS = {DistConfig: _dist}
