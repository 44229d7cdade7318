"""KL divergence of softened classes, from logits or probabilities, as it is and on standardised logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, full_precision, mean_over, pair_of
from human_edge_detection.experiments.schema.distillation import KlConfig, StdConfig

_SMALLEST_PROBABILITY = 1e-7
"""Where logarithms are cut off: a probability of 0 stored in half precision stands for one below 3e-8."""
_SUM_TOLERANCE = 1e-2
_LEAST_SPREAD = 1e-3
"""Logits that differ by less are not blown up to a standard deviation of 1: their gradient would be as large as they
are small. The paper has 1e-7."""


def kl_divergence(
    student_logits: Tensor,
    teacher: Tensor,
    temperature: float,
    *,
    mask: Tensor | None = None,
    probabilities: bool = False,
) -> Tensor:
    """KL(teacher || student) of the softened classes, summed over classes and *averaged* over all other positions.

    Source: Hinton, Vinyals, Dean, arXiv:1503.02531. The average over positions is what keeps alpha meaningful: doubling
    N, H or W does not change the scale. The factor ``temperature**2`` keeps the size of the gradient when the
    temperature changes (section 2): for one logit it is ``temperature * (p_student - p_teacher) / positions``.

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``, any shape with the classes on axis 1.
        teacher: Logits of the same shape; no gradient flows into them.
        temperature: Above 0; 1 leaves the logits as they are.
        mask: Boolean, ``(N)`` or ``(N, H, W)``: the positions that count. None: all.
        probabilities: ``teacher`` holds probabilities at temperature 1 (stored soft labels); they are softened as
            ``p ** (1 / temperature)``, normalised, which is what the temperature does to the logits they came from.

    Returns:
        Scalar >= 0, in nats; 0 when no position counts.

    Raises:
        ValueError: Shapes differ, or probabilities are none.
    """
    student, teacher = pair_of(student_logits, teacher)
    if probabilities:
        teacher = log_probabilities(teacher, what="teacher")
    divergence = kl_per_position(student, teacher, temperature)
    return mean_over(divergence, mask) * temperature**2


def kl_per_position(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of softened logits ``(N, C, ...)``, summed over classes: ``(N, ...)``."""
    divergence: Tensor = _SoftenedKl.apply(student, teacher, temperature)
    return divergence


class _SoftenedKl(torch.autograd.Function):
    """The divergence with its gradient in closed form, which takes one pass where that of its parts takes four.

    The teacher's logits are constants.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        log_student = functional.log_softmax(student / temperature, dim=1)
        log_teacher = functional.log_softmax(teacher / temperature, dim=1)
        taught = log_teacher.exp()
        ctx.temperature = temperature
        ctx.save_for_backward(log_student, taught)
        return log_teacher.sub_(log_student).mul_(taught).sum(dim=1)

    @staticmethod
    @once_differentiable  # the closed form is written for constants: a second derivative would be wrong in silence
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        log_student, taught = ctx.saved_tensors
        surplus = log_student.exp().sub_(taught)
        return surplus.mul_(gradients[0][:, None] / ctx.temperature), None, None


def standardised_kl(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, *, mask: Tensor | None = None
) -> Tensor:
    """:func:`kl_divergence` of logits that are standardised over the classes, position by position.

    Source: Sun et al., "Logit Standardization in Knowledge Distillation", arXiv:2403.01427, algorithm 1. Mean 0 and
    standard deviation 1 on both sides: the student is asked for the teacher's order and proportions, not for its
    confidence, which a small network cannot reach. The gradient is that of the KL divided by the standard deviation of
    the student's logits at the position, so sure positions weigh little. With two classes every standardised output is
    (+0.71, -0.71) or the reverse, and nothing could be learnt; that is refused.

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``, three classes or more.
        teacher_logits: The same shape; no gradient flows into it.
        temperature: Above 0. Standardised logits are small, so 1 to 2 is as sharp as 4 is for plain ones.
        mask: As for :func:`kl_divergence`.

    Raises:
        ValueError: Shapes differ, or there are two classes.
    """
    student, teacher = pair_of(student_logits, teacher_logits)
    if student.shape[1] < 3:
        raise ValueError(f"standardised logits of {student.shape[1]} classes say nothing; expected 3 or more")
    divergence = kl_per_position(_standardised(student), _standardised(teacher), temperature)
    return mean_over(divergence, mask) * temperature**2


def _standardised(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(dim=1, keepdim=True)
    variance = centred.square().sum(dim=1, keepdim=True) / (logits.shape[1] - 1)
    return centred * (variance + _LEAST_SPREAD**2).rsqrt()


def check_probabilities(values: Tensor, *, what: str) -> None:
    """Refuses ``(N, C, ...)`` that are no probabilities of the classes, up to the rounding of half precision.

    Args:
        values: In question.
        what: Whose they are, for the message.

    Raises:
        ValueError: One is below 0 or not a number, or they do not sum to 1 over axis 1.
    """
    off = (values.sum(dim=1) - 1.0).abs()
    if values.numel() and not bool((values >= 0.0).all() & (off <= _SUM_TOLERANCE).all()):
        raise ValueError(f"{what} probabilities must be >= 0 and sum to 1 over axis 1; are they logits?")


def log_probabilities(probabilities: Tensor, *, what: str) -> Tensor:
    """Logits of ``probabilities`` ``(N, C, ...)``; those below 1e-7 count as 1e-7. Arguments and errors as above."""
    check_probabilities(probabilities, what=what)
    return full_precision(probabilities).clamp(min=_SMALLEST_PROBABILITY).log()


@dataclass(frozen=True)
class SoftTargetLoss:
    """:func:`kl_divergence` with its settings: for soft targets that were stored, and for plain classification.

    Attributes:
        temperature: Above 0.
        probabilities: The targets are probabilities; else logits.
    """

    temperature: float = 4.0
    probabilities: bool = True

    def __call__(self, student_logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scalar; arguments as for :func:`kl_divergence`."""
        return kl_divergence(student_logits, targets, self.temperature, mask=mask, probabilities=self.probabilities)

    def to_config(self) -> dict[str, Any]:
        """Plain data that :meth:`from_config` makes an equal loss of."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The loss that :meth:`to_config` described."""
        return cls(**config)


def _kl(settings: KlConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    # Alone among the terms it also counts positions that the annotations ignore: the teacher has logits there.
    return kl_divergence(student, teacher, temperature, mask=target.applicable)


def _std(settings: StdConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    return standardised_kl(student, teacher, temperature, mask=target.known)


LOGIT_TERMS = {KlConfig: _kl, StdConfig: _std}
