"""Distillation of a plain classifier, of images or of pixels, in one callable: ground truth and teacher together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, Self

from torch import Tensor
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.kl import check_probabilities, kl_divergence, log_probabilities
from human_edge_detection.advanced.distillation_terms.positions import full_precision, mean_over

StudentLoss = Callable[[Tensor, Tensor], Tensor]
"""``(student, hard_labels) -> scalar``."""


class LossParts(NamedTuple):
    """A loss and what it is the sum of: scalars with gradient, float32 or better.

    Attributes:
        total: ``hard + soft``.
        hard: ``(1 - alpha) * student_loss``, from the ground truth.
        soft: ``alpha * temperature**2 * KL``, from the teacher.
    """

    total: Tensor
    hard: Tensor
    soft: Tensor


@dataclass(frozen=True)
class ClassifierDistillationLoss:
    """``(1 - alpha) * student_loss(hard labels) + alpha * temperature**2 * KL(teacher || student)``.

    Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531. The KL is
    :func:`~human_edge_detection.advanced.distillation_terms.kl.kl_divergence`: summed over the classes, averaged over
    all other positions. For the networks of this package, with their several heads, see
    :class:`~human_edge_detection.advanced.knowledge_distillation.DistillationLoss`.

    >>> import math, torch
    >>> loss = ClassifierDistillationLoss(from_logits=True)
    >>> student = torch.tensor([[0.0, 0.0]])  # N=1, C=2: says (1/2, 1/2)
    >>> teacher = torch.tensor([[3 * math.log(3), 0.0]])  # at temperature 3: (3/4, 1/4)
    >>> total, hard, soft = loss(student, torch.tensor([0]), teacher)
    >>> print(f"{hard:.4f} + {soft:.4f} = {total:.4f}")
    0.3466 + 0.5887 = 0.9352
    >>> joined = torch.cat([torch.tensor([[1.0, 0.0]]), teacher], dim=1)  # (1, 4): hard labels, then the teacher's
    >>> loss(student, joined).total == total
    tensor(True)
    >>> ClassifierDistillationLoss.from_config(loss.get_config()) == loss
    True

    Attributes:
        student_loss: Loss on the ground truth, a function of the student's outputs as they were given and of the hard
            labels as they were given, which returns a scalar and judges the labels itself. None: cross-entropy.
        alpha: Weight of the teacher in [0, 1].
        temperature: Softens both sides of the KL; above 0.
        from_logits: Whether student and teacher give logits; False: probabilities, those of the softmax at
            temperature 1. A probability below 1e-7 counts as 1e-7 and has no gradient, so logits are better.
        teacher_from_logits: The same of the teacher alone, where its probabilities were stored; None: ``from_logits``.
        ignore_index: Class index of positions that count in neither part (this package's masks have 255). None: every
            index must be a class.

    Raises:
        ValueError: A setting is out of its range.
    """

    student_loss: StudentLoss | None = None
    _: KW_ONLY
    alpha: float = 0.5
    temperature: float = 3.0
    from_logits: bool
    teacher_from_logits: bool | None = None
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha {self.alpha}, expected a number in [0, 1]")
        if not (self.temperature > 0.0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature {self.temperature}, expected a finite number above 0")
        for name, value in (("from_logits", self.from_logits), ("teacher_from_logits", self.teacher_from_logits)):
            if not isinstance(value, bool) and (name == "from_logits" or value is not None):
                raise ValueError(f"{name} {value!r}, expected True (logits) or False (probabilities)")

    def __call__(self, student: Tensor, labels: Tensor, teacher: Tensor | None = None) -> LossParts:
        """The loss of a batch.

        Args:
            student: ``(N, C)`` or ``(N, C, H, W)``, two classes or more, with gradient; any precision.
            labels: With a teacher the hard labels: integers ``(N)`` or ``(N, H, W)``, the true classes, or floats of
                ``student``'s shape, the probability of each class (one-hot, smoothed, mixed). Without one floats
                ``(N, 2C)`` or ``(N, 2C, H, W)``: the probabilities of the hard labels, then what the teacher gave.
            teacher: What it gave, ``student``'s shape; no gradient flows into it.

        Returns:
            The total and its two parts; 0 where no position counts.

        Raises:
            ValueError: A shape, a class index or a probability is wrong, or ``student_loss`` returns no scalar.
        """
        if student.ndim not in (2, 4) or student.shape[1] < 2:
            raise ValueError(f"student {tuple(student.shape)}, expected (N, C) or (N, C, H, W) with 2 classes or more")
        if teacher is None:
            labels, teacher = _parted(labels, student)
        known = self._known(labels, student)
        logits = full_precision(student) if self.from_logits else log_probabilities(student, what="student")
        own = self.student_loss
        value = _cross_entropy(logits, labels, known) if own is None else own(student, labels)
        if value.ndim:
            raise ValueError(f"student_loss returned {tuple(value.shape)}, expected a scalar: the mean over the batch")
        from_logits = self.from_logits if self.teacher_from_logits is None else self.teacher_from_logits
        divergence = kl_divergence(logits, teacher, self.temperature, mask=known, probabilities=not from_logits)
        hard, soft = (1.0 - self.alpha) * full_precision(value), self.alpha * divergence
        return LossParts(hard + soft, hard, soft)

    def _known(self, labels: Tensor, student: Tensor) -> Tensor | None:
        """Boolean ``(N)`` or ``(N, H, W)``, the positions that count; None: all."""
        if self.ignore_index is None:
            return None
        if labels.is_floating_point():
            raise ValueError(f"ignore_index {self.ignore_index} is for class indices; these labels are floats")
        _check_indices(labels, student)
        return labels != self.ignore_index

    def get_config(self) -> dict[str, Any]:
        """Plain data that :meth:`from_config` makes an equal loss of; a loss of one's own is there by name only."""
        return {
            "student_loss": _name_of(self.student_loss),
            "alpha": self.alpha,
            "temperature": self.temperature,
            "from_logits": self.from_logits,
            "teacher_from_logits": self.teacher_from_logits,
            "ignore_index": self.ignore_index,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, student_loss: StudentLoss | None = None) -> Self:
        """The loss that :meth:`get_config` described.

        Args:
            config: What it returned.
            student_loss: The loss on the ground truth that it was made with, if it was one's own: a config cannot hold
                code.

        Raises:
            ValueError: That loss is missing, or has another name than the config says.
        """
        said = config.get("student_loss")
        if said != _name_of(student_loss):
            raise ValueError(f"student_loss {_name_of(student_loss)}, expected {said}, which the config was made with")
        return cls(**{**config, "student_loss": student_loss})


def _name_of(loss: StudentLoss | None) -> str | None:
    if loss is None:
        return None
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{named.__module__}.{named.__qualname__}"


def _parted(labels: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Hard labels and what the teacher gave, from both joined on axis 1."""
    classes = student.shape[1]
    expected = (len(student), 2 * classes, *student.shape[2:])
    if labels.shape != expected or not labels.is_floating_point():
        raise ValueError(
            f"labels {tuple(labels.shape)} {labels.dtype} without a teacher, expected hard and soft labels joined on "
            f"axis 1: floats {expected}"
        )
    return labels[:, :classes], labels[:, classes:]


def _check_indices(labels: Tensor, student: Tensor) -> None:
    expected = (len(student), *student.shape[2:])
    if labels.shape != expected:
        raise ValueError(f"class indices {tuple(labels.shape)}, expected {expected}; one-hot labels must be floats")


def _cross_entropy(logits: Tensor, labels: Tensor, known: Tensor | None) -> Tensor:
    """Mean over the ``known`` positions; labels are class indices or probabilities."""
    if labels.is_floating_point():
        if labels.shape != logits.shape:
            raise ValueError(f"student {tuple(logits.shape)} and label probabilities {tuple(labels.shape)} differ")
        check_probabilities(labels, what="label")
        target = labels.detach().to(logits.dtype)
    else:
        _check_indices(labels, logits)
        target = labels.long() if known is None else labels.long().where(known, 0)
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < logits.shape[1]:
            raise ValueError(
                f"class indices from {int(target.min())} to {int(target.max())}, expected 0 to {logits.shape[1] - 1} "
                "or ignore_index"
            )
    return mean_over(functional.cross_entropy(logits, target, reduction="none"), known)
