"""Validation of one model on one data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from human_edge_detection.engine.device import autocast
from human_edge_detection.engine.evaluation.own_boxes import OwnBoxes
from human_edge_detection.engine.evaluation.person_maps import PersonMaps
from human_edge_detection.engine.precision import Precision
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.metrics.segmentation import SegmentationMetrics
from human_edge_detection.structures import Batch, SegmentationOutput

Predictor = Callable[[Tensor, Tensor], SegmentationOutput]
Metrics = dict[str, float | None]
Together = Callable[[Callable[[], SegmentationMetrics]], SegmentationMetrics]


def evaluate(
    predict: Predictor,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: Precision,
    mask_size: tuple[int, int],
    after_batch: Callable[[], None] = lambda: None,
    coco_ap: CocoMaskAp | None = None,
    own_boxes: OwnBoxes | None = None,
    together: Together = lambda measured: measured(),
) -> Metrics:
    """Metrics of ``predict`` over all ``batches``: of :func:`measure`, ``coco_ap`` and ``own_boxes``, where given.

    Args:
        predict: As for :func:`measure`, and so are the others.
        batches: The data set, in order.
        device: Where the model is.
        precision: Arithmetic of the forward passes.
        mask_size: (height, width) of the masks.
        after_batch: Called after each batch.
        coco_ap: Also collects COCO mask AP.
        own_boxes: Also collects what a model with a detector finds itself.
        together: Given what measures the ``batches`` of this process, returns the counts of all processes.
    """
    metrics = together(
        lambda: measure(
            predict,
            batches,
            device=device,
            precision=precision,
            mask_size=mask_size,
            after_batch=after_batch,
            coco_ap=coco_ap,
            own_boxes=own_boxes,
        )
    )
    return compute_all(metrics, coco_ap, own_boxes)


def compute_all(metrics: SegmentationMetrics, coco_ap: CocoMaskAp | None, own_boxes: OwnBoxes | None) -> Metrics:
    """The metrics of all that was counted."""
    found = metrics.compute()
    for more in (coco_ap, own_boxes):
        found |= more.compute() if more is not None else {}
    return found


@torch.no_grad()
def measure(
    predict: Predictor,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: Precision,
    mask_size: tuple[int, int],
    after_batch: Callable[[], None] = lambda: None,
    coco_ap: CocoMaskAp | None = None,
    own_boxes: OwnBoxes | None = None,
    person_maps: PersonMaps | None = None,
) -> SegmentationMetrics:
    """The counts of ``predict`` over all ``batches``.

    Args:
        predict: A model in ``eval()`` mode, or a teacher.
        batches: The data set, in order.
        device: Where the model is.
        precision: Arithmetic of the forward passes.
        mask_size: (height, width) of the masks.
        after_batch: Called after each batch (progress, interruption).
        coco_ap: Also collects COCO mask AP.
        own_boxes: Also collects what a model with a detector finds itself.
        person_maps: Also collects where persons are seen.
    """
    metrics = SegmentationMetrics(mask_size)
    for batch in batches:
        batch = batch.to(device)
        with autocast(device, precision):
            output = predict(batch.images, batch.rois)
            if own_boxes is not None:
                own_boxes.update(predict, output, batch)
        metrics.update(output, batch)
        if coco_ap is not None and len(output.logits):
            coco_ap.update(output, batch)
        if person_maps is not None:
            person_maps.update(output, batch)
        after_batch()
    return metrics


def predictor(model: torch.nn.Module) -> Predictor:
    """``model`` in evaluation mode as a function of images and rois."""
    model.eval()

    def predict(images: Tensor, rois: Tensor) -> SegmentationOutput:
        output: SegmentationOutput = model(images, rois)
        return output

    return predict
