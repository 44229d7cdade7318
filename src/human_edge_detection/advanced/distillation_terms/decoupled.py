"""Decoupled distillation (DKD): the true class against the rest, and the rest among themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, mean_over, pair_of
from human_edge_detection.experiments.schema.distillation import DkdConfig
from human_edge_detection.structures import IGNORE


def decoupled_kl(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    *,
    target_weight: float = 1.0,
    nontarget_weight: float = 8.0,
) -> Tensor:
    """KL split at the true class; each part with a weight of its own.

    Source: Zhao et al., "Decoupled Knowledge Distillation", arXiv:2203.08679. Plain KL is ``TCKD + (1 - p) * NCKD``,
    with p the teacher's softened probability of the true class: where the teacher is sure, what it knows about the
    other classes is suppressed. Here the second factor is ``nontarget_weight``. The paper's classes are an image's,
    ours a position's, and the mean is over positions. Two classes have one other class and nothing to say about it:
    NCKD and its gradient are 0, and this is ``target_weight`` times plain KL.

    Size of the gradient for one logit: at most ``temperature * (target_weight + nontarget_weight) / positions``; the
    second part is up to ``nontarget_weight / (1 - p)`` times what plain KL has there.

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``, C >= 2.
        teacher_logits: The same shape; no gradient flows into it.
        labels: ``(N)`` or ``(N, H, W)`` long, the true classes; 255 does not count.
        temperature: Above 0.
        target_weight: Of the true class against all others (TCKD); the paper's alpha.
        nontarget_weight: Of the other classes among themselves (NCKD); the paper's beta, 8 in most of its tables.

    Returns:
        Scalar >= 0, times ``temperature**2``; 0 when no position counts.

    Raises:
        ValueError: Shapes differ.
    """
    student, teacher = pair_of(student_logits, teacher_logits)
    valid = labels != IGNORE
    index = labels.where(valid, labels.new_zeros(()))[:, None]
    (own, rest, others), (own_teacher, rest_teacher, others_teacher) = (
        _split(functional.log_softmax(logits / temperature, dim=1), index) for logits in (student, teacher)
    )
    against = own_teacher.exp() * (own_teacher - own) + rest_teacher.exp() * (rest_teacher - rest)
    is_own = torch.zeros_like(others, dtype=torch.bool).scatter(1, index, True)
    shares = others_teacher.masked_fill(is_own, -torch.inf).exp()
    among = (shares * (others_teacher - others)).sum(dim=1)
    return mean_over(target_weight * against + nontarget_weight * among, valid) * temperature**2


def _split(log_probabilities: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``log p(true)`` and ``log p(others)``, ``(N, ...)``, and ``log p(class | others)``, ``(N, C, ...)``."""
    own = log_probabilities.gather(1, index)
    # Not log(1 - p): where p is 1 to the last digit, that has no digits left.
    rest = log_probabilities.scatter(1, index, -torch.inf).logsumexp(dim=1, keepdim=True)
    return own[:, 0], rest[:, 0], log_probabilities - rest


def _dkd(settings: DkdConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    return decoupled_kl(
        student,
        teacher,
        target.labels,
        temperature,
        target_weight=settings.target_weight,
        nontarget_weight=settings.nontarget_weight,
    )


LOGIT_TERMS = {DkdConfig: _dkd}
