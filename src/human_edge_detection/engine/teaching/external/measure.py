"""What soft labels of whole images are worth: the metrics of a model, of what is said of the validation data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor

from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.metrics.segmentation import SegmentationMetrics
from human_edge_detection.structures import BACKGROUND, Batch, SegmentationOutput

logger = logging.getLogger(__name__)

_POOR_IOU: Final = 0.4
"""Of a person map: below it something is wrong with the description rather than with the model."""
_LOOK_AT: Final = {
    "exported": "train it for longer, or on larger images",
    "results": "are these persons, and of these images?",
    "maps": "are these probabilities of a person, and of these images?",
}
"""By the kind of a teacher of which nothing is described, why its answers may be bad."""


@torch.no_grad()
def measure_soft_labels(
    ask: Callable[[Batch], SegmentationOutput],
    batches: Iterable[Batch],
    *,
    device: torch.device,
    mask_size: tuple[int, int],
    after_batch: Callable[[], None] = lambda: None,
) -> Metrics:
    """The metrics of what ``ask`` says of each batch; where it says nothing, it has found nobody.

    Args:
        ask: A teacher; NaN where it says nothing.
        batches: The validation data, in order.
        device: Where they are wanted.
        mask_size: (height, width) of the masks.
        after_batch: Called after each batch.
    """
    metrics = SegmentationMetrics(mask_size)
    for batch in batches:
        batch = batch.to(device)
        said = ask(batch)
        metrics.update(SegmentationOutput(_filled(said.logits), {k: _filled(v) for k, v in said.aux.items()}), batch)
        after_batch()
    return metrics.compute()


def _filled(logits: Tensor) -> Tensor:
    """``logits`` with background, or no person, where they are NaN."""
    nobody = torch.full_like(logits, -1.0)
    if logits.shape[1] > 1:
        nobody[:, BACKGROUND] = 1.0
    return torch.where(logits.isnan(), nobody, logits)


def report_metrics(name: str, metrics: Metrics, *, kind: str) -> None:
    """Says what a teacher of this kind is worth, and warns of one that is hardly worth anything."""
    iou, miou = metrics.get("full_image_iou"), metrics.get("miou")
    known = {"IoU of its person map": iou, "mIoU": miou}
    words = [f"{name} {value:.4f}" for name, value in known.items() if value is not None]
    logger.info("teacher %s: %s on the validation images", name, ", ".join(words) or "no score")
    if iou is not None and iou < _POOR_IOU:
        logger.warning(
            "teacher %s is poor (IoU of its person map %.4f): %s; a student can hardly gain from it",
            name,
            iou,
            _LOOK_AT.get(kind, "look at person_class, and at colors, scale, mean and std of its input"),
        )
