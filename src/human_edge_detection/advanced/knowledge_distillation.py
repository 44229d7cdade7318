"""Distillation: what a teacher's logits add to the loss of a student, and the teacher that never learns.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531; the terms name theirs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.classifier_distillation import ClassifierDistillationLoss
from human_edge_detection.advanced.distillation_terms.features import ADAPTED, FeatureAdapter
from human_edge_detection.advanced.distillation_terms.kl import SoftTargetLoss, kl_divergence
from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, mean_over
from human_edge_detection.advanced.distillation_terms.terms import FEATURE_TERMS, LOGIT_TERMS
from human_edge_detection.experiments.schema.decoders import UNET_FEATURE_CHANNELS
from human_edge_detection.experiments.schema.distillation import (
    FeatureTermSettings,
    KlConfig,
    LogitTermSettings,
    TermSettings,
)
from human_edge_detection.experiments.schema.heads import BY_KEY, DISTILLED, Head
from human_edge_detection.structures import DECODER_FEATURES, LossOutput, LossTerm, SegmentationOutput

__all__ = [
    "AveragedTeachers",
    "ClassifierDistillationLoss",
    "DistillationLoss",
    "FrozenTeacher",
    "HeadTarget",
    "MirroredTeacher",
    "SoftTargetLoss",
    "kl_divergence",
    "two_class_logits",
]

logger = logging.getLogger(__name__)


def two_class_logits(logit: Tensor) -> Tensor:
    """``(B, 1, H, W)`` logit of a binary head as ``(B, 2, H, W)`` class logits with the same probabilities."""
    return torch.cat([torch.zeros_like(logit), logit], dim=1)


class DistillationLoss:
    """``alpha * L_distill + (1 - alpha) * L_base``.

    ``L_distill`` is the sum of the terms, each times its weight; a term of logits is the sum over its heads, each times
    the weight of the head.

    Args:
        weights: Weight of each distilled head by name; a head without one, or with 0, is left out.
        terms: Settings of what is distilled; plain KL by default.
        confidence_threshold: Positions where the teacher gives its likeliest class less than this probability (at
            temperature 1) do not count in any term of logits. None: all count.
        feature_channels: Of the decoder features of student and teacher.

    Attributes:
        adapter: What the student's features go through before they are compared, where a term wants it: learns with the
            student and is no part of it.

    Raises:
        ValueError: A weight is for something that is no distilled head.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        terms: Sequence[TermSettings] = (KlConfig(),),
        *,
        confidence_threshold: float | None = None,
        feature_channels: tuple[int, int] = (UNET_FEATURE_CHANNELS, UNET_FEATURE_CHANNELS),
    ) -> None:
        known = [head.name for head in DISTILLED]
        unknown = sorted(weights.keys() - set(known))
        if unknown:
            raise ValueError(f"unknown heads {unknown}, expected some of {known}")
        self.weights = dict(weights)
        self.heads = tuple(head for head in DISTILLED if weights.get(head.name, 0.0) > 0.0)
        self.terms = tuple(terms)
        self.confidence_threshold = confidence_threshold
        self.adapter = FeatureAdapter(*feature_channels) if any(isinstance(term, ADAPTED) for term in terms) else None
        self._skipped: set[str] = set()

    @property
    def needs_features(self) -> bool:
        """Whether both models must hand out their decoder features."""
        return any(isinstance(term, FeatureTermSettings) for term in self.terms)

    def parameters(self) -> list[nn.Parameter]:
        """What it learns itself, beside the student."""
        return [] if self.adapter is None else list(self.adapter.parameters())

    def __call__(
        self,
        student: SegmentationOutput,
        teacher: SegmentationOutput,
        targets: Mapping[str, HeadTarget],
        base: LossOutput,
        *,
        temperature: float,
        alpha: float,
        partial: bool = False,
    ) -> LossOutput:
        """The whole loss of a batch.

        Args:
            student: Its output, with gradient; with its decoder features where they are needed.
            teacher: Its output at the same sizes.
            targets: What the annotations say, for each head.
            base: The student's loss on ground truth.
            temperature: Softens both sides of every term of logits; above 0.
            alpha: Weight of the distillation in [0, 1].
            partial: The teacher may say nothing of a position: its classes are NaN there, and no term of
                logits counts it. Nor need it have all heads.

        Returns:
            Terms of ``base``; ``distill/<head>`` for plain KL, ``distill/<kind>/<head>`` for other terms of logits, for
            each head that both have, and ``distill/<kind>`` for terms of features. With a threshold, its own or one
            of ``targets``, also ``confident/<head>``: the share of the head's positions that counts.
        """
        pairs = {head: pair for head in self.heads if (pair := self._pair(head, student, teacher, partial)) is not None}
        if partial:
            said = {head: _said(pair[1]) for head, pair in pairs.items()}
            pairs = {head: (own, taught.nan_to_num(nan=0.0)) for head, (own, taught) in pairs.items()}
            targets = {head.name: targets[head.name].only(mask) for head, mask in said.items()}
        masks = {head: self._confident(pair[1], targets[head.name]) for head, pair in pairs.items()}
        confident = tuple(
            LossTerm(
                f"confident/{head.name}",
                mean_over(mask.float(), targets[head.name].applicable),
                0.0,
                head.over,
                "teacher",
            )
            for head, mask in masks.items()
            if mask is not None
        )
        targets = {
            head.name: targets[head.name] if mask is None else targets[head.name].only(mask)
            for head, mask in masks.items()
        }
        hard = (term.scaled(1.0 - alpha) for term in base.terms)
        soft = (term.scaled(alpha) for term in self._terms(pairs, student, teacher, targets, temperature))
        return LossOutput((*hard, *soft), confident)

    def _terms(
        self,
        pairs: Mapping[Head, tuple[Tensor, Tensor]],
        student: SegmentationOutput,
        teacher: SegmentationOutput,
        targets: Mapping[str, HeadTarget],
        temperature: float,
    ) -> Iterator[LossTerm]:
        for term in self.terms:
            if isinstance(term, FeatureTermSettings):
                value = self._of_features(term, student, teacher)
                yield LossTerm(f"distill/{term.kind}", value, term.weight, "images", "teacher")
            elif isinstance(term, LogitTermSettings):
                prefix = "distill/" if isinstance(term, KlConfig) else f"distill/{term.kind}/"
                for head, pair in pairs.items():
                    if term.heads is None or head.name in term.heads:
                        value = LOGIT_TERMS[type(term)](term, *pair, targets[head.name], temperature)
                        weight = self.weights[head.name] * term.weight
                        yield LossTerm(prefix + head.name, value, weight, head.over, "teacher")

    def _confident(self, teacher_logits: Tensor, target: HeadTarget) -> Tensor | None:
        """Boolean ``(N, H, W)``: the likeliest of the classes ``(N, C, H, W)`` is likely enough; None: all count."""
        least: Tensor | float | None = self.confidence_threshold
        if target.needed is not None:
            least = target.needed.clamp(min=least or 0.0)
        return None if least is None else teacher_logits.float().softmax(dim=1).amax(dim=1) >= least

    def _of_features(self, term: TermSettings, student: SegmentationOutput, teacher: SegmentationOutput) -> Tensor:
        features = student.aux[DECODER_FEATURES]
        if isinstance(term, ADAPTED) and self.adapter is not None:
            features = self.adapter(features)
        taught = teacher.aux[DECODER_FEATURES]
        if taught.shape[-2:] != features.shape[-2:]:  # those of a slim decoder have a stride of their own
            taught = functional.adaptive_avg_pool2d(taught, (features.shape[-2], features.shape[-1]))
        return FEATURE_TERMS[type(term)](features, taught)

    def _pair(
        self, head: Head, student: SegmentationOutput, teacher: SegmentationOutput, partial: bool
    ) -> tuple[Tensor, Tensor] | None:
        """Class logits of both models; None where one of them lacks the head."""
        own, taught = student.of(head.key), teacher.of(head.key)
        if own is None or taught is None:
            lacking = "student" if own is None else "teacher"
            # A batch without rois has no roi heads at all; that is no property of the models. An optional head that the
            # student lacks was not asked for, and of a teacher that is partial it is known what it cannot speak for.
            expected = head.optional if own is None else partial
            if len(student.logits) and head.name not in self._skipped and not expected:
                self._skipped.add(head.name)
                logger.warning("distillation head %s is skipped: the %s has none", head.name, lacking)
            return None
        return (own, taught) if head.channels > 1 else (two_class_logits(own), two_class_logits(taught))


def _said(teacher_logits: Tensor) -> Tensor:
    """Boolean ``(N, H, W)``: the teacher says something about the position."""
    return ~teacher_logits.isnan().any(dim=1)


class FrozenTeacher:
    """A model that only predicts: always ``eval()``, no gradient, outputs resized to the student's sizes.

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
        """Its output to the student's batch.

        Args:
            images: ``(B, 3, H, W)``, the images at any size; best at its own.
            rois: ``(N, 5)``, see :class:`~human_edge_detection.structures.Batch`.
            mask_size: (height, width) of the rois' masks in the output.
            image_size: (height, width) of full-image logits and features in the output; None: that of ``images``.
            features: Hand out the decoder features too.
        """
        if self.model.training:
            raise RuntimeError("the teacher is in training mode; its BatchNorm statistics would change")
        asked = {"features": True} if features else {}
        output: SegmentationOutput = self.model(_resize(images, self.image_size), rois, **asked)
        image_size = image_size or (images.shape[-2], images.shape[-1])
        sizes = {name: _size_of(name, image_size, mask_size) for name in output.aux}
        aux = {name: _resize(maps, sizes[name]) for name, maps in output.aux.items()}
        return SegmentationOutput(_resize(output.logits, mask_size), aux)


class MirroredTeacher:
    """A teacher that is shown the mirror images, and whose output is mirrored back.

    Args:
        teacher: It. What it says of boxes of its own is left out.
    """

    def __init__(self, teacher: FrozenTeacher) -> None:
        self.teacher = teacher

    def __call__(
        self, images: Tensor, rois: Tensor, *, mask_size: tuple[int, int], image_size: tuple[int, int] | None = None
    ) -> SegmentationOutput:
        """As :class:`FrozenTeacher`."""
        mirrored = torch.stack([rois[:, 0], 1 - rois[:, 3], rois[:, 2], 1 - rois[:, 1], rois[:, 4]], dim=1)
        output = self.teacher(images.flip(-1), mirrored, mask_size=mask_size, image_size=image_size)
        aux = {name: maps.flip(-1) for name, maps in output.aux.items() if BY_KEY[name].labels != "person_box"}
        return SegmentationOutput(output.logits.flip(-1), aux)


class AveragedTeachers:
    """Several teachers as one: the mean of their probabilities, for the heads that all of them have.

    Args:
        teachers: One or more, each with sizes of its own.
    """

    def __init__(self, teachers: Sequence[FrozenTeacher | MirroredTeacher]) -> None:
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
        predictions = [teacher(images, rois, mask_size=mask_size, image_size=image_size) for teacher in self.teachers]
        aux = {
            name: mean_logits(BY_KEY[name], [prediction.aux[name] for prediction in predictions])
            for name in predictions[0].aux
            if all(name in prediction.aux for prediction in predictions)
        }
        return SegmentationOutput(_mean_log_probability([prediction.logits for prediction in predictions]), aux)


def _size_of(key: str, image_size: tuple[int, int], mask_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the output called ``key`` for images and masks of these sizes."""
    if key == DECODER_FEATURES:
        return image_size
    head = BY_KEY[key]
    return head.size_in(image_size) if head.over == "images" else mask_size


def mean_logits(head: Head, outputs: Sequence[Tensor]) -> Tensor:
    """What several models say with one ``head``, ``(N, C, ...)`` each: the logits of their mean probability.

    Of a head whose output is a value, the mean of the values.
    """
    if head.regression:
        return torch.stack(list(outputs)).mean(dim=0)
    if head.channels > 1:
        return _mean_log_probability(outputs)
    # A binary head: the logit of the mean probability.
    mean = _mean_log_probability([two_class_logits(logit) for logit in outputs])
    return mean[:, 1:] - mean[:, :1]


def _mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean probability of each class: ``(N, C, ...)`` logits of as many models."""
    each = torch.stack([functional.log_softmax(prediction.float(), dim=1) for prediction in logits])
    return each.logsumexp(dim=0) - math.log(len(logits))


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[-2:] == size or len(maps) == 0:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)
