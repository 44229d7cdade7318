"""What people get wrong about distillation: seen in the numbers of an epoch, said with what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from human_edge_detection.advanced.knowledge_distillation import CONFIDENT_PREFIX, DISTILLATION_PREFIX

_SMALLEST_SHARE: Final = 0.01
"""Of the gradient; what has less than this, distillation or truth, might as well be left out."""
_SHARE: Final = "gradient_share/"
_SAME: Final = 1e-6


def distillation_warnings(
    training: Mapping[str, float], *, alpha: float, student_score: float | None, teacher_score: float | None
) -> Iterator[tuple[str, str]]:
    """Warnings about one epoch, each with a name, so that a run says it once.

    Args:
        training: Means of the epoch's terms and shares of the gradient, by name.
        alpha: Weight of distillation in it.
        student_score: Validation mIoU after it; None: not measured.
        teacher_score: The teacher's on the same data; None: not measured.
    """
    terms = {name: value for name, value in training.items() if name.startswith(DISTILLATION_PREFIX)}
    if alpha == 0.0:
        yield "alpha 0", "distillation.alpha is 0: the teacher costs time and has no effect; raise it, or turn it off"
    elif not terms:
        yield (
            "no term",
            "no head is distilled, the teacher is never asked; see distillation.terms and the heads' weights",
        )
    elif all(abs(value) < _SAME for value in terms.values()):
        yield (
            "no difference",
            "student and teacher answer the same: is it the student itself? give another teacher",
        )
    kept = [value for name, value in training.items() if name.startswith(CONFIDENT_PREFIX)]
    if kept and max(kept) < _SMALLEST_SHARE:
        yield (
            "nothing confident",
            f"distillation.confidence_threshold keeps {max(kept):.1%} of the pixels or fewer; lower it",
        )
    yield from _share_warnings(training, alpha)
    if student_score is not None and teacher_score is not None and student_score > teacher_score:
        yield (
            "teacher is worse",
            f"the student (mIoU {student_score:.4f}) is better than its teacher ({teacher_score:.4f}), which now holds "
            "it back; give a better teacher, lower distillation.alpha, or let it follow the student: "
            "--set distillation.adaptive_alpha={}",
        )


def _share_warnings(training: Mapping[str, float], alpha: float) -> Iterator[tuple[str, str]]:
    shares = {name.removeprefix(_SHARE): value for name, value in training.items() if name.startswith(_SHARE)}
    if not shares or not 0.0 < alpha < 1.0:
        return
    distilled = sum(value for name, value in shares.items() if name.startswith(DISTILLATION_PREFIX))
    if distilled < _SMALLEST_SHARE:
        yield (
            "small share",
            f"distillation has {distilled:.1%} of the gradient at alpha {alpha:.2g} and does nothing; raise "
            "distillation.alpha or the weights of distillation.terms, or lower the temperature",
        )
    elif distilled > 1.0 - _SMALLEST_SHARE:
        yield (
            "large share",
            f"distillation has {distilled:.1%} of the gradient at alpha {alpha:.2g}, the truth hardly any; lower "
            "distillation.alpha or the weights of distillation.terms",
        )
