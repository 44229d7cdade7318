"""Distillation: what a teacher's answers add to the loss of a student, and the teacher that never learns.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531; the terms name theirs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.features import FeatureAdapter
from human_edge_detection.advanced.distillation_terms.kl import SoftTargetLoss, kl_divergence
from human_edge_detection.advanced.distillation_terms.positions import mean_over
from human_edge_detection.advanced.distillation_terms.terms import (
    HEADS,
    FeatureTerm,
    HeadTruth,
    KlTerm,
    LogitTerm,
    Term,
    build_term,
)
from human_edge_detection.advanced.hierarchical_segmentation_unet import FEATURE_CHANNELS
from human_edge_detection.structures import DECODER_FEATURES, LossOutput, SegmentationOutput

__all__ = [
    "DISTILLATION_PREFIX",
    "HEADS",
    "AveragedTeachers",
    "DistillationLoss",
    "FrozenTeacher",
    "HeadTruth",
    "SoftTargetLoss",
    "kl_divergence",
    "over_images",
    "two_class_logits",
]

logger = logging.getLogger(__name__)

DISTILLATION_PREFIX: Final = "distill/"
CONFIDENT_PREFIX: Final = "confident/"
_FULL_IMAGE: Final = "full_image"


def over_images(name: str) -> bool:
    """Whether what distillation reports as ``name`` is a mean over images; the others are means over rois."""
    last = name.rpartition("/")[2]
    return name.startswith((DISTILLATION_PREFIX, CONFIDENT_PREFIX)) and (last == _FULL_IMAGE or last not in HEADS)


def two_class_logits(logit: Tensor) -> Tensor:
    """``(B, 1, H, W)`` logit of a binary head as ``(B, 2, H, W)`` class logits with the same probabilities."""
    return torch.cat([torch.zeros_like(logit), logit], dim=1)


@dataclass
class DistillationLoss:
    """``alpha * L_distill + (1 - alpha) * L_base``.

    ``L_distill`` is the sum of the terms, each times its weight; a term of logits is the sum over its heads, each times
    the weight of the head.

    Attributes:
        temperature: Softens both sides of every term of logits; above 0.
        alpha: Weight of the distillation in [0, 1].
        weights: Weight of each head of :data:`HEADS`; a head with weight 0 is left out.
        terms: What is distilled; plain KL by default.
        confidence_threshold: Positions where the teacher gives its likeliest class less than this probability (at
            temperature 1) do not count in any term of logits. None: all count.
        adapter: What the student's features go through before they are compared, where a term wants it: learns with the
            student and is no part of it.
    """

    temperature: float
    alpha: float
    weights: Mapping[str, float]
    terms: tuple[Term, ...] = (KlTerm(),)
    confidence_threshold: float | None = None
    adapter: FeatureAdapter | None = field(init=False, compare=False, repr=False)
    _skipped: set[str] = field(init=False, compare=False, repr=False, default_factory=set)

    def __post_init__(self) -> None:
        unknown = self.weights.keys() - set(HEADS)
        if unknown:
            raise ValueError(f"unknown heads {sorted(unknown)}, expected some of {HEADS}")
        self.weights = {head: weight for head, weight in self.weights.items() if weight > 0.0}
        adapts = any(isinstance(term, FeatureTerm) and term.adapts for term in self.terms)
        self.adapter = FeatureAdapter(FEATURE_CHANNELS) if adapts else None

    @property
    def needs_features(self) -> bool:
        """Whether both models must hand out their decoder features."""
        return any(isinstance(term, FeatureTerm) for term in self.terms)

    def parameters(self) -> list[nn.Parameter]:
        """What it learns itself, beside the student."""
        return [] if self.adapter is None else list(self.adapter.parameters())

    def to_config(self) -> dict[str, Any]:
        """Plain data that :meth:`from_config` makes an equal loss of; what the adapter has learnt is not in it."""
        return {
            "temperature": self.temperature,
            "alpha": self.alpha,
            "weights": dict(self.weights),
            "terms": [term.to_config() for term in self.terms],
            "confidence_threshold": self.confidence_threshold,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DistillationLoss:
        """The loss that :meth:`to_config` described, its adapter untrained.

        Raises:
            ValueError: Unknown kind of term, setting or head.
        """
        return cls(**{**config, "terms": tuple(build_term(term) for term in config["terms"])})

    def __call__(
        self,
        student: SegmentationOutput,
        teacher: SegmentationOutput,
        truth: Mapping[str, HeadTruth],
        base: LossOutput,
    ) -> LossOutput:
        """The whole loss of a batch.

        Args:
            student: Its answer, with gradient; with its decoder features where they are needed.
            teacher: Its answer at the same sizes.
            truth: What the annotations say, for each head.
            base: The student's loss on ground truth.

        Returns:
            Terms of ``base``; ``distill/<head>`` for plain KL, ``distill/<kind>/<head>`` for other terms of logits, for
            each head that both have, and ``distill/<kind>`` for terms of features. With a threshold also
            ``confident/<head>``: the share of the head's positions that counts.
        """
        terms, weighted = dict(base.terms), {name: (1.0 - self.alpha) * term for name, term in base.weighted.items()}
        pairs = dict(self._pairs(student, teacher))
        if self.confidence_threshold is not None:
            sure = {head: _confident(pair[1], self.confidence_threshold) for head, pair in pairs.items()}
            terms |= {
                CONFIDENT_PREFIX + head: mean_over(mask.float(), truth[head].asked) for head, mask in sure.items()
            }
            truth = {head: truth[head].only(mask) for head, mask in sure.items()}
        for name, weight, term in self._terms(pairs, student, teacher, truth):
            terms[DISTILLATION_PREFIX + name] = term.detach()
            weighted[DISTILLATION_PREFIX + name] = self.alpha * weight * term
        if not weighted:
            return base
        return LossOutput(torch.stack(list(weighted.values())).sum(), terms, weighted)

    def _terms(
        self,
        pairs: Mapping[str, tuple[Tensor, Tensor]],
        student: SegmentationOutput,
        teacher: SegmentationOutput,
        truth: Mapping[str, HeadTruth],
    ) -> Iterator[tuple[str, float, Tensor]]:
        for term in self.terms:
            if isinstance(term, FeatureTerm):
                yield term.kind, term.weight, self._of_features(term, student, teacher)
            elif isinstance(term, LogitTerm):
                prefix = "" if term.kind == KlTerm.kind else f"{term.kind}/"
                for head, pair in pairs.items():
                    if term.heads is None or head in term.heads:
                        value = term(*pair, truth[head], self.temperature)
                        yield prefix + head, self.weights[head] * term.weight, value

    def _of_features(self, term: FeatureTerm, student: SegmentationOutput, teacher: SegmentationOutput) -> Tensor:
        features = student.aux[DECODER_FEATURES]
        if term.adapts and self.adapter is not None:
            features = self.adapter(features)
        return term(features, teacher.aux[DECODER_FEATURES])

    def _pairs(
        self, student: SegmentationOutput, teacher: SegmentationOutput
    ) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
        """Logits of the heads that both have."""
        for head in self.weights:
            own, taught = _head_logits(head, student), _head_logits(head, teacher)
            if own is not None and taught is not None:
                yield head, (own, taught)
            # A batch without rois has no roi heads at all; that is no property of the models.
            elif len(student.logits) and head not in self._skipped:
                self._skipped.add(head)
                lacking = "student" if own is None else "teacher"
                logger.warning("distillation head %s is skipped: the %s has none", head, lacking)


def _confident(teacher_logits: Tensor, threshold: float) -> Tensor:
    """Boolean ``(N, H, W)``: the likeliest of the classes ``(N, C, H, W)`` is likely enough."""
    return teacher_logits.float().softmax(dim=1).amax(dim=1) >= threshold


def _head_logits(head: str, output: SegmentationOutput) -> Tensor | None:
    if head == "main":
        return output.logits if len(output.logits) else None
    if head == _FULL_IMAGE:
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
    def __call__(
        self,
        images: Tensor,
        rois: Tensor,
        *,
        mask_size: tuple[int, int],
        image_size: tuple[int, int] | None = None,
        features: bool = False,
    ) -> SegmentationOutput:
        """Its answer to the student's batch.

        Args:
            images: ``(B, 3, H, W)``, the photographs at any size; best at its own.
            rois: ``(N, 5)``, see :class:`~human_edge_detection.structures.Batch`.
            mask_size: (height, width) of the rois' masks in the answer.
            image_size: (height, width) of full-image logits and features in the answer; None: that of ``images``.
            features: Hand out the decoder features too.
        """
        if self.model.training:
            raise RuntimeError("the teacher is in training mode; its BatchNorm statistics would change")
        asked = {"features": True} if features else {}
        output: SegmentationOutput = self.model(_resize(images, self.image_size), rois, **asked)
        image_size = image_size or (images.shape[-2], images.shape[-1])
        of_image = ("full_image_logits", DECODER_FEATURES)
        aux = {
            name: _resize(answer, image_size if name in of_image else mask_size) for name, answer in output.aux.items()
        }
        return SegmentationOutput(_resize(output.logits, mask_size), aux)


class AveragedTeachers:
    """Several teachers as one: the mean of their probabilities, for the heads that all of them have.

    Args:
        teachers: One or more, each with sizes of its own.
    """

    def __init__(self, teachers: Sequence[FrozenTeacher]) -> None:
        self.teachers = tuple(teachers)

    def __call__(
        self,
        images: Tensor,
        rois: Tensor,
        *,
        mask_size: tuple[int, int],
        image_size: tuple[int, int] | None = None,
        features: bool = False,
    ) -> SegmentationOutput:
        """As :class:`FrozenTeacher`; the logits are log probabilities.

        Raises:
            ValueError: Features are asked for: a mean of those of several networks means nothing.
        """
        if features:
            raise ValueError(f"{len(self.teachers)} teachers have no features in common; expected one teacher")
        answers = [teacher(images, rois, mask_size=mask_size, image_size=image_size) for teacher in self.teachers]
        aux = {
            name: _mean_answer(name, [answer.aux[name] for answer in answers])
            for name in answers[0].aux
            if all(name in answer.aux for answer in answers)
        }
        return SegmentationOutput(_mean_log_probability([answer.logits for answer in answers]), aux)


def _mean_answer(name: str, answers: Sequence[Tensor]) -> Tensor:
    if name == "distance":
        return torch.stack(list(answers)).mean(dim=0)
    if answers[0].shape[1] > 1:
        return _mean_log_probability(answers)
    # A binary head: the logit of the mean probability.
    mean = _mean_log_probability([two_class_logits(logit) for logit in answers])
    return mean[:, 1:] - mean[:, :1]


def _mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean probability of each class: ``(N, C, ...)`` logits of as many models."""
    each = torch.stack([functional.log_softmax(answer.float(), dim=1) for answer in logits])
    return each.logsumexp(dim=0) - math.log(len(logits))


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[-2:] == size or len(maps) == 0:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)
