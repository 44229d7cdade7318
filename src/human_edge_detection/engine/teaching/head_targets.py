"""What is known about the positions of each distilled head of a batch, for the terms that need it.

That is what the annotations say. Where they say nothing, the teacher's likeliest class may stand in for the truth, if
the teacher is sure of it: in the unknown parts of an image, when a probability is given from which on it counts there,
and on images without any annotation, of which nobody else speaks.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor

from human_edge_detection.advanced.knowledge_distillation import HeadTarget
from human_edge_detection.experiments.schema.heads import DISTILLED, Head
from human_edge_detection.losses.boundary import border_band
from human_edge_detection.losses.head_losses import LABELS
from human_edge_detection.structures import BACKGROUND, IGNORE, TARGET, Batch, SegmentationOutput


class StandIn(NamedTuple):
    """From which probability of its likeliest class on the teacher stands in for a truth that nobody knows.

    Attributes:
        unknown: In the unknown parts of images with annotations; 1: nowhere. None: its class is not used, and only KL
            counts these positions, whatever the probability.
        unlabelled: On images without annotations, below 1.
    """

    unknown: float | None = None
    unlabelled: float = 0.0


TRUTH_ALONE: Final = StandIn()
"""Nothing stands in for it."""


def head_targets(
    batch: Batch, student: SegmentationOutput, teacher: SegmentationOutput, stand_in: StandIn = TRUTH_ALONE
) -> dict[str, HeadTarget]:
    """By name of each head that the student's output has; border bands are made only when a term wants one.

    Args:
        batch: Its ground truth.
        student: Its output.
        teacher: Its output, at the same sizes.
        stand_in: Where the teacher speaks instead of the ground truth.
    """
    heads = [head for head in DISTILLED if student.of(head.key) is not None]
    if stand_in.unknown is None and batch.labelled is None:
        return {head.name: _target(head, batch) for head in heads}
    filled = _filled(batch, teacher, stand_in)
    return {
        head.name: _target(head, filled)._replace(needed=_needed(LABELS[head.labels](batch), head, batch, stand_in))
        for head in heads
    }


def _target(head: Head, batch: Batch) -> HeadTarget:
    labels = LABELS[head.labels](batch).long()
    # Where a target ends at the background, its head is asked nothing on one side; it is a border for it all the same.
    classes = batch.roi_masks if head.labels == "target" else labels
    return HeadTarget(labels, partial(border_band, classes), _applicable(head, batch))


def _applicable(head: Head, batch: Batch) -> Tensor | None:
    """Target or non-target is asked only where there is a person."""
    if head.labels != "target":
        return None
    return (batch.roi_masks != BACKGROUND) & (batch.roi_masks != IGNORE)


def _filled(batch: Batch, teacher: SegmentationOutput, stand_in: StandIn) -> Batch:
    """``batch`` with the teacher's likeliest classes in its masks, where they stand in for the truth."""

    def fill(masks: Tensor, classes: Tensor | None, is_labelled: Tensor) -> Tensor:
        if classes is None:
            return masks
        where = masks == IGNORE
        if stand_in.unknown is None:
            where = where & ~is_labelled[:, None, None]
        return torch.where(where, classes.to(masks.dtype), masks)

    of_rois, of_images = _is_labelled(batch)
    return batch._replace(
        roi_masks=fill(batch.roi_masks, _classes_in_rois(teacher), of_rois),
        person_masks=fill(batch.person_masks, _persons(teacher), of_images),
    )


def _is_labelled(batch: Batch) -> tuple[Tensor, Tensor]:
    """Boolean ``(N,)`` and ``(B,)``: the rois and the images that the ground truth speaks of."""
    rois, images = (
        torch.full((len(masks),), batch.labelled is None, device=masks.device)
        for masks in (batch.roi_masks, batch.person_masks)
    )
    if batch.labelled is not None:
        rois.index_fill_(0, batch.labelled.rois, True)
        images.index_fill_(0, batch.labelled.images, True)
    return rois, images


def _classes_in_rois(teacher: SegmentationOutput) -> Tensor | None:
    """``(N, H, W)``: the likeliest of the three classes, 255 where the teacher says nothing; None: it has no rois."""
    person = teacher.of("bg_fg_logits")
    if person is None:
        logits = teacher.of("logits")
        return None if logits is None else _likeliest(logits)
    own = teacher.of("target_nontarget_logits")
    whose = torch.full_like(person[:, 0], TARGET) if own is None else TARGET + own.argmax(dim=1)
    return torch.where(_likeliest(person) == 1, whose, _likeliest(person)).long()


def _persons(teacher: SegmentationOutput) -> Tensor | None:
    """``(B, IH, IW)``: 1 any person, 0 nobody, 255 where the teacher says nothing; None: it has no person map."""
    logit = teacher.of("full_image_logits")
    return None if logit is None else (logit[:, 0] > 0).long().masked_fill(logit[:, 0].isnan(), IGNORE)


def _likeliest(logits: Tensor) -> Tensor:
    return logits.argmax(dim=1).masked_fill(logits.isnan().any(dim=1), IGNORE)


def _needed(labels: Tensor, head: Head, batch: Batch, stand_in: StandIn) -> Tensor:
    """:attr:`HeadTarget.needed` of a head with these ``labels`` of the annotations."""
    of_rois, of_images = _is_labelled(batch)
    # The head of target or non-target has no label on background either, of which the truth is known.
    unknown = (batch.roi_masks if head.labels == "target" else labels) == IGNORE
    within = stand_in.unknown or 0.0
    is_labelled = (of_rois if head.over == "rois" else of_images)[:, None, None]
    asked = torch.where(is_labelled, math.inf if within == 1.0 else within, stand_in.unlabelled)
    return torch.where(unknown, asked, 0.0)
