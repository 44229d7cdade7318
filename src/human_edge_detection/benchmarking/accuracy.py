"""How right person maps of any models are, on the same pixels for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import person_mask, read_scene
from human_edge_detection.metrics.confusion import confusion_matrices
from human_edge_detection.metrics.scores import iou_per_class
from human_edge_prediction import Model


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
