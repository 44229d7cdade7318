"""Distillation: the temperature-scaled KL loss over several heads, and the teacher that never learns.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.structures import LossOutput, SegmentationOutput

logger = logging.getLogger(__name__)

DISTILLATION_PREFIX = "distill/"
HEADS = ("main", "bg_fg", "target_nontarget", "full_image")


def kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, *, mask: Tensor | None = None
) -> Tensor:
    """KL(teacher || student) of the softened classes, summed over classes and *averaged* over all other positions.

    The average over positions is what keeps alpha meaningful: doubling N, H or W does not change the scale. The
    factor ``temperature**2`` keeps the size of the gradient when the temperature changes (Hinton et al., section 2).

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``.
        teacher_logits: The same shape; no gradient flows into it.
        temperature: Above 0; 1 leaves the logits as they are.
        mask: Boolean, ``(N)`` or ``(N, H, W)``: the positions that count. None: all.

    Returns:
        Scalar >= 0, in nats; 0 when no position counts.

    Raises:
        ValueError: Shapes differ.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student {tuple(student_logits.shape)} and teacher {tuple(teacher_logits.shape)} logits differ"
        )
    student = functional.log_softmax(student_logits.float() / temperature, dim=1)
    teacher = functional.log_softmax(teacher_logits.detach().float() / temperature, dim=1)
    per_position = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
    if mask is not None:
        weight = mask.to(per_position.dtype)
        mean = (per_position * weight).sum() / weight.sum().clamp(min=1.0)
    else:
        mean = per_position.sum() / max(per_position.numel(), 1)
    return mean * temperature**2


def two_class_logits(logit: Tensor) -> Tensor:
    """``(B, 1, H, W)`` logit of a binary head as ``(B, 2, H, W)`` class logits with the same probabilities."""
    return torch.cat([torch.zeros_like(logit), logit], dim=1)


class DistillationLoss:
    """``alpha * L_distill + (1 - alpha) * L_base``, where ``L_distill`` is the weighted sum of the heads' KL.

    Args:
        temperature: Softens both sides; above 0.
        alpha: Weight of the distillation in [0, 1].
        weights: Weight of each head of :data:`HEADS`; a head with weight 0 is left out.
    """

    def __init__(self, *, temperature: float, alpha: float, weights: Mapping[str, float]) -> None:
        unknown = weights.keys() - set(HEADS)
        if unknown:
            raise ValueError(f"unknown heads {sorted(unknown)}, expected some of {HEADS}")
        self.temperature = temperature
        self.alpha = alpha
        self.weights = {head: weight for head, weight in weights.items() if weight > 0.0}
        self._skipped: set[str] = set()

    def __call__(
        self, student: SegmentationOutput, teacher: SegmentationOutput, foreground: Tensor, base: LossOutput
    ) -> LossOutput:
        """The whole loss of a batch.

        Args:
            student: Its answer, with gradient.
            teacher: Its answer at the same sizes.
            foreground: ``(N, H, W)`` boolean; the positions where target vs non-target is a question at all.
            base: The student's loss on ground truth.

        Returns:
            Terms of ``base`` and one ``distill/<head>`` for each head that both have.
        """
        terms, weighted = dict(base.terms), {name: (1.0 - self.alpha) * term for name, term in base.weighted.items()}
        for head, weight in self.weights.items():
            pair = _head_logits(head, student), _head_logits(head, teacher)
            if pair[0] is None or pair[1] is None:
                self._log_skipped(head, student, pair)
                continue
            mask = foreground if head == "target_nontarget" else None
            term = kl_divergence(pair[0], pair[1], self.temperature, mask=mask)
            terms[DISTILLATION_PREFIX + head] = term.detach()
            weighted[DISTILLATION_PREFIX + head] = self.alpha * weight * term
        if not weighted:
            return base
        return LossOutput(torch.stack(list(weighted.values())).sum(), terms, weighted)

    def _log_skipped(self, head: str, student: SegmentationOutput, pair: tuple[Tensor | None, Tensor | None]) -> None:
        # A batch without rois has no roi heads at all; that is no property of the models.
        if len(student.logits) and head not in self._skipped:
            self._skipped.add(head)
            lacking = "student" if pair[0] is None else "teacher"
            logger.warning("distillation head %s is skipped: the %s has none", head, lacking)


def _head_logits(head: str, output: SegmentationOutput) -> Tensor | None:
    if head == "main":
        return output.logits if len(output.logits) else None
    if head == "full_image":
        logit = output.aux.get("full_image_logits")
        return None if logit is None else two_class_logits(logit)
    return output.aux.get(f"{head}_logits")


class FrozenTeacher:
    """A model that only answers: always ``eval()``, no gradient, answers resized to the student's sizes.

    It is no ``nn.Module`` on purpose: it cannot become part of a student, of its optimizer or of its checkpoint.

    Args:
        model: The teacher, loaded.
        image_size: (height, width) of the images that it expects; others are resized.
    """

    def __init__(self, model: nn.Module, *, image_size: tuple[int, int]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.image_size = image_size

    @torch.no_grad()
    def __call__(self, images: Tensor, rois: Tensor, *, mask_size: tuple[int, int]) -> SegmentationOutput:
        """Its answer to the student's batch, full-image logits at the size of ``images``, rois at ``mask_size``."""
        if self.model.training:
            raise RuntimeError("the teacher is in training mode; its BatchNorm statistics would change")
        output: SegmentationOutput = self.model(_resize(images, self.image_size), rois)
        image_size = (images.shape[-2], images.shape[-1])
        aux = {
            name: _resize(answer, image_size if name == "full_image_logits" else mask_size)
            for name, answer in output.aux.items()
        }
        return SegmentationOutput(_resize(output.logits, mask_size), aux)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[-2:] == size or len(maps) == 0:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)
