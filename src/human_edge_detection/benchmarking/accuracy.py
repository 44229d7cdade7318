"""How right models are on the validation images, by the metrics of ``hed evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset, person_mask, read_scene
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.evaluation.evaluate import Metrics, evaluate
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.metrics.confusion import confusion_matrices
from human_edge_detection.metrics.scores import iou_per_class
from human_edge_detection.structures import CLASS_NAMES, SegmentationOutput
from human_edge_prediction import Model
from human_edge_prediction.models.own import OwnModel

_NO_MASK = (1, 1)
"""Mask size of a model without a head for rois, whose masks nobody makes."""


def roi_metrics(model: OwnModel, people: AnnotationSet, *, after_image: Callable[[], None]) -> Metrics:
    """Every metric of ``hed evaluate``, COCO mask AP in the true boxes included, of an exported file itself.

    Args:
        model: With a head for rois or without.
        people: The validation data.
        after_image: Called after each image.

    Raises:
        DataError: An image cannot be read.
        PredictionError: The model cannot be run.
    """
    mask_size = model.mask_size or _NO_MASK
    dataset = PersonDataset(
        people, image_size=model.input.size, mask_size=mask_size, augmentation=None, max_rois=None, seed=0
    )
    return evaluate(
        _predictor(model, mask_size),
        validation_batches(dataset, batch_size=1, num_workers=0),
        device=torch.device("cpu"),
        precision="fp32",
        mask_size=mask_size,
        after_batch=after_image,
        coco_ap=CocoMaskAp(people.file) if model.takes_rois else None,
    )


def _predictor(model: OwnModel, mask_size: tuple[int, int]) -> Callable[[Tensor, Tensor], SegmentationOutput]:
    """The exported file in the place of the network that it was made from."""

    def predict(images: Tensor, rois: Tensor) -> SegmentationOutput:
        outputs = model.run(images.numpy(), rois.numpy())
        logits = outputs.get("masks", np.zeros((0, len(CLASS_NAMES), *mask_size), np.float32))
        full_image = torch.from_numpy(outputs["binary_masks"]).logit()
        return SegmentationOutput(torch.from_numpy(logits), {"full_image_logits": full_image})

    return predict


def person_ious(
    models: Sequence[Model], people: AnnotationSet, *, after_image: Callable[[], None]
) -> list[float | None]:
    """IoU of each model's person map with the true one, over all pixels of the image files.

    The truth is that of ``hed evaluate``, which takes it at the size of the model's input; here each map is brought to
    the size of the image first, so that models that see the image at different sizes are scored on the same pixels.
    Crowds, and on images that are not exhaustively labelled what lies outside of the boxes, do not count.

    Args:
        models: Any.
        people: The validation data.
        after_image: Called after each image.

    Returns:
        In [0, 1]; None where no pixel counts, or a model gives no person map.

    Raises:
        DataError: An image cannot be read.
        PredictionError: A model cannot be run.
    """
    counts = torch.zeros(len(models), 2, 2, dtype=torch.int64)
    for record in people.images:
        scene = read_scene(people, record)
        truth = torch.from_numpy(person_mask(scene, (record.height, record.width)))[None]
        for number, model in enumerate(models):
            if gives_person_map(model):
                found = torch.from_numpy(model.person_map(scene.image) > 0.5)[None]
                counts[number] += confusion_matrices(found, truth, num_classes=2)[0]
        after_image()
    scores = iou_per_class(counts.numpy())[:, 1].tolist()
    return [None if np.isnan(score) else score for score in scores]


def gives_person_map(model: Model) -> bool:
    """Whether there is anything to score; what gives boxes, or masks in boxes that it is given, has no map."""
    return model.kind not in ("boxes", "prompted")
