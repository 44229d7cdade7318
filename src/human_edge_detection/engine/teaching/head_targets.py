"""What the annotations of a batch say about the positions of each distilled head, for the terms that need it."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from human_edge_detection.advanced.knowledge_distillation import HeadTarget
from human_edge_detection.experiments.schema.heads import DISTILLED, Head
from human_edge_detection.losses.boundary import border_band
from human_edge_detection.losses.head_losses import LABELS
from human_edge_detection.structures import BACKGROUND, IGNORE, Batch, SegmentationOutput


def head_targets(batch: Batch, student: SegmentationOutput) -> dict[str, HeadTarget]:
    """By name of each head that the student's output has; border bands are made only when a term wants one."""
    return {head.name: _target(head, batch) for head in DISTILLED if student.of(head.key) is not None}


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
