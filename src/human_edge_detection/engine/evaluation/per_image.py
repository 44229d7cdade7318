"""Counts of the best model on each validation image, so that runs can be compared pair by pair."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.polygons_and_rle import mask_area_and_box
from human_edge_detection.data.loader import BatchLoader
from human_edge_detection.engine.checkpoints.load import TrainedModel, load_trained
from human_edge_detection.engine.evaluation.evaluate import Metrics, measure, predictor
from human_edge_detection.engine.evaluation.own_boxes import OwnBoxes
from human_edge_detection.engine.evaluation.person_maps import PersonMaps
from human_edge_detection.engine.precision import Precision
from human_edge_detection.metrics.segmentation import RoiScore, SegmentationMetrics
from human_edge_detection.runs.per_image import ImageCounts, PerImage, RoiCounts, person_size

logger = logging.getLogger(__name__)

_TOLERANCE = 0.005
"""Difference to the record that other arithmetic can make: a run that went on on another device."""
_NO_PREDICTION = (0, 0, 0, 0)


def count_per_image(
    checkpoint: Path,
    batches: BatchLoader,
    *,
    device: torch.device,
    precision: Precision,
    after_batch: Callable[[], None],
    own_boxes: OwnBoxes | None = None,
    person_maps: PersonMaps | None = None,
) -> PerImage:
    """What the model in ``checkpoint`` predicts on each image, loaded from the disk as any user will load it.

    Args:
        checkpoint: The best checkpoint of a run.
        batches: Its validation data.
        device: Where to run.
        precision: Arithmetic of the forward passes.
        after_batch: Called after each batch.
        own_boxes: Collects what the model finds itself, where it has a detector.
        person_maps: Collects where it sees persons.

    Raises:
        CheckpointError: The checkpoint is missing, damaged or of another architecture than its config says.
        DataError: An image cannot be read.
    """
    trained = load_trained(checkpoint)
    trained.model.to(device).to(memory_format=torch.channels_last)
    metrics = measure(
        predictor(trained.model),
        batches,
        device=device,
        precision=precision,
        mask_size=trained.checkpoint.config.model.mask_size,
        after_batch=after_batch,
        own_boxes=own_boxes,
        person_maps=person_maps,
    )
    _compare_with_record(trained, metrics.compute())
    return counts_of(metrics, batches.dataset.people, trained.sha256)


def counts_of(metrics: SegmentationMetrics, people: AnnotationSet, checkpoint_sha256: str) -> PerImage:
    """What was counted on each image of ``people``, of the weights with this sha256."""
    return PerImage(
        checkpoint_sha256=checkpoint_sha256,
        data_fingerprint=people.fingerprint,
        images=_images(metrics, people),
        rois=_rois(metrics.roi_scores, people),
    )


def _images(metrics: SegmentationMetrics, people: AnnotationSet) -> ImageCounts:
    ids = people.images.ids.tolist()
    confusion = {score.image_id: score.confusion for score in metrics.image_scores}
    return ImageCounts.model_validate(
        {
            "id": tuple(ids),
            "persons": tuple(people.images.person_counts.tolist()),
            "confusion": tuple(confusion.get(image_id, _NO_PREDICTION) for image_id in ids),
        }
    )


def _rois(scores: Sequence[RoiScore], people: AnnotationSet) -> RoiCounts:
    areas = {
        person.id: mask_area_and_box(person.segmentation, image.height, image.width)[0]
        for image in people.images
        for person in image.persons
    }
    return RoiCounts.model_validate(
        {
            "image": tuple(score.image_id for score in scores),
            "annotation": tuple(score.annotation_id for score in scores),
            "size": tuple(person_size(areas[score.annotation_id]) for score in scores),
            "confusion": tuple(score.confusion for score in scores),
            "target_iou": tuple(_none_for_nan(score.target_iou) for score in scores),
            "boundary_f1": tuple(_none_for_nan(score.boundary_f1) for score in scores),
        }
    )


def _none_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def _compare_with_record(trained: TrainedModel, measured: Metrics) -> None:
    name = trained.checkpoint.config.model.monitored_metric
    now, then = measured[name], trained.checkpoint.metrics.get(name)
    if now is not None and then is not None and abs(now - then) > _TOLERANCE:
        logger.warning(
            "%s scores %s %.4f, and %.4f when its epoch was validated; was the run moved to another device between?",
            trained.path,
            name,
            now,
            then,
        )
