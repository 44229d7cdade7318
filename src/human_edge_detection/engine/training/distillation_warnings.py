"""What people get wrong about distillation: seen in the numbers of an epoch, said with what to change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_SMALLEST_SHARE: Final = 0.01
"""Of the gradient; what has less than this, distillation or truth, might as well be left out."""
_EQUAL_BELOW: Final = 1e-6
"""A term of less than this: student and teacher have the same logits."""


def distillation_warnings(
    *,
    unused: Iterable[str],
    soft_terms: Sequence[float],
    confident_shares: Sequence[float],
    gradient_share: float | None,
    alpha: float,
    student_score: float | None,
    teacher_score: float | None,
) -> Iterator[tuple[str, str]]:
    """Warnings about one epoch, each with a name, so that a run says it once.

    Args:
        unused: Fields of the distillation section that were set and have no effect.
        soft_terms: Means of the terms that the teacher gave, before weighting.
        confident_shares: Share of each head's positions that the confidence threshold keeps; empty without one.
        gradient_share: Share of these terms in the gradient, in [0, 1]; None: not measured.
        alpha: Weight of distillation in the epoch.
        student_score: Validation mIoU after it; None: not measured.
        teacher_score: The teacher's on the same data; None: not measured.
    """
    if alpha == 0.0:
        yield "alpha 0", "distillation.alpha is 0: the teacher costs time and has no effect; raise it, or turn it off"
    elif not soft_terms:
        yield (
            "no term",
            "no head is distilled, the teacher is never asked; see distillation.terms and the heads' weights",
        )
    elif all(abs(value) < _EQUAL_BELOW for value in soft_terms):
        yield (
            "no difference",
            "student and teacher have the same logits: is it the student itself? give another teacher",
        )
    if names := ", ".join(f"distillation.{name}" for name in unused):
        yield (
            "unused",
            f"{names}: no effect beside these teachers, distillation.terms and distillation.adaptive_alpha; give the "
            "default",
        )
    if confident_shares and max(confident_shares) < _SMALLEST_SHARE:
        yield (
            "nothing confident",
            f"distillation.confidence_threshold keeps {max(confident_shares):.1%} of the pixels or fewer; lower it",
        )
    if gradient_share is not None and 0.0 < alpha < 1.0:
        yield from _share_warnings(gradient_share, alpha)
    if student_score is not None and teacher_score is not None and student_score > teacher_score:
        yield (
            "teacher is worse",
            f"the student (mIoU {student_score:.4f}) is better than its teacher ({teacher_score:.4f}), which now holds "
            "it back; give a better teacher, lower distillation.alpha, or let it follow the student: "
            "--set distillation.adaptive_alpha={}",
        )


def _share_warnings(share: float, alpha: float) -> Iterator[tuple[str, str]]:
    if share < _SMALLEST_SHARE:
        yield (
            "small share",
            f"distillation has {share:.1%} of the gradient at alpha {alpha:.2g} and does nothing; raise "
            "distillation.alpha or the weights of distillation.terms, or lower the temperature",
        )
    elif share > 1.0 - _SMALLEST_SHARE:
        yield (
            "large share",
            f"distillation has {share:.1%} of the gradient at alpha {alpha:.2g}, the truth hardly any; lower "
            "distillation.alpha or the weights of distillation.terms",
        )
