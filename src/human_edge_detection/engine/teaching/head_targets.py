"""What the annotations of a batch say about the positions of each head, for the distillation terms that ask."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from human_edge_detection.advanced.knowledge_distillation import HeadTruth
from human_edge_detection.losses.boundary import border_band
from human_edge_detection.losses.hierarchical import foreground_labels, target_labels
from human_edge_detection.structures import Batch


def head_truths(batch: Batch) -> dict[str, HeadTruth]:
    """By head; border bands are made only when a term asks for one."""
    masks = batch.roi_masks.long()
    foreground = foreground_labels(masks)
    return {
        "main": _truth(masks),
        "bg_fg": _truth(foreground),
        "target_nontarget": _truth(target_labels(masks), asked=foreground == 1),
        "full_image": _truth(batch.person_masks.long()),
    }


def _truth(labels: Tensor, asked: Tensor | None = None) -> HeadTruth:
    return HeadTruth(labels, partial(border_band, labels), asked)
