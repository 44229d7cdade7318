"""Training images for quantisation: some to measure ranges on, others to judge on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.errors import DataError
from human_edge_detection.exporters.quantization.qdq import Feeds
from human_edge_detection.structures import Batch
from human_edge_prediction.models.own import OwnModel

_HELD_OUT: Final = 64
_LEAST: Final = 2


class DrawnImages(NamedTuple):
    """Two parts of the training images, which have no image in common.

    Attributes:
        calibration: To measure ranges on.
        held_out: To judge on which layers have to stay float.
    """

    calibration: AnnotationSet
    held_out: AnnotationSet


def draw(people: AnnotationSet, count: int, *, seed: int) -> DrawnImages:
    """Draws ``count`` images to measure ranges on, at most half of those with persons, and others to judge on.

    Args:
        people: The training images.
        count: At least 1.
        seed: Another one draws other images.

    Raises:
        DataError: Too few of the images show persons.
    """
    with_persons = np.flatnonzero(people.images.person_counts)
    if len(with_persons) < _LEAST:
        raise DataError(
            f"{people.file}: {len(with_persons)} of {len(people.images)} images show persons, and quantisation takes "
            f"at least {_LEAST}, one to measure ranges on and one to judge on; give the training data of the model"
        )
    order = np.random.default_rng(seed).permutation(with_persons)
    count = min(count, len(order) // 2)
    return DrawnImages(_part(people, order[:count]), _part(people, order[count : count + _HELD_OUT]))


def _part(people: AnnotationSet, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> AnnotationSet:
    return replace(people, images=people.images.select(sorted(chosen.tolist())))


def feeds_of(model: OwnModel, people: AnnotationSet) -> Sequence[Feeds]:
    """The inputs of ``model`` for each image, with the true boxes as rois where it takes any.

    Raises:
        DataError: An image cannot be read.
    """
    dataset = PersonDataset(
        people,
        image_size=model.input.size,
        mask_size=model.mask_size or (1, 1),
        augmentation=None,
        max_rois=None,
        seed=0,
    )
    batches = (collate([dataset[(0, index)]]).to(torch.device("cpu")) for index in range(len(dataset)))
    return [_feeds(model, batch) for batch in batches]


def _feeds(model: OwnModel, batch: Batch) -> Feeds:
    feeds = {"images": batch.images.numpy()}
    return feeds | {"rois": batch.rois.numpy()} if model.takes_rois else feeds
