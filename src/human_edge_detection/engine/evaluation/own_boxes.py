"""What a model with a detector finds by itself, measured on the images whose persons are all annotated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

from human_edge_detection.advanced.detector import find_persons
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.annotations.polygons_and_rle import mask_area_and_box
from human_edge_detection.metrics.detection import MOST, DetectionMetrics, Prediction, TruePerson
from human_edge_detection.structures import TARGET, Batch, SegmentationOutput

logger = logging.getLogger(__name__)

MIN_SCORE: Final = 0.05
"""Of a detection that counts: one that is less sure hardly changes an average precision."""


_Predictor = Callable[[Tensor, Tensor], SegmentationOutput]


class Found(NamedTuple):
    """What a model finds in the images that count.

    Attributes:
        rois: ``(N, 5)`` the boxes, with the number of the image among them.
        scores: ``(N,)`` in [0, 1].
        output: The masks in these boxes.
    """

    rois: Tensor
    scores: Tensor
    output: SegmentationOutput


def find_with_network(predict: _Predictor, output: SegmentationOutput, images: Tensor, shown: list[int]) -> Found:
    """What a network with a detector finds; it is asked about its own boxes.

    Args:
        predict: The network.
        output: Its output to ``images``.
        images: ``(B, 3, IH, IW)`` in [0, 1].
        shown: The images that count.
    """
    found = find_persons(output.aux["centre_logits"][shown], output.aux["person_boxes"][shown], most=MOST)
    rois, scores = found.as_rois(MIN_SCORE)
    return Found(rois, scores, predict(images[shown], rois))


class OwnBoxes:
    """Collects detections and their masks beside the masks in the true boxes.

    Args:
        people: The annotations of the images.
        find: Finds the persons, with the arguments of :func:`find_with_network`.
    """

    def __init__(
        self,
        people: AnnotationSet,
        find: Callable[[_Predictor, SegmentationOutput, Tensor, list[int]], Found] = find_with_network,
    ) -> None:
        self._people = people
        self._find = find
        self._positions = {int(number): position for position, number in enumerate(people.images.ids.tolist())}
        self._exhaustive = people.images.exhaustive
        self._metrics = DetectionMetrics()

    @torch.no_grad()
    def update(self, predict: _Predictor, output: SegmentationOutput, batch: Batch) -> None:
        """Adds one batch; the model is asked once more, about its own boxes.

        Args:
            predict: The model.
            output: Its output to ``batch``.
            batch: Images in [0, 1] on the model's device, with the true boxes as rois.
        """
        positions = [self._positions[image_id] for image_id in batch.image_ids]
        shown = [number for number, position in enumerate(positions) if self._exhaustive[position]]
        if not shown:
            return
        found = self._find(predict, output, batch.images, shown)
        own = _predictions(found.rois, found.output, len(shown), found.scores)
        given = _predictions(batch.rois if len(output.logits) else batch.rois[:0], output, len(batch.images))
        for mine, number in zip(own, shown, strict=True):
            image = self._people.images[positions[number]]
            self._metrics.add((image.height, image.width), _true_persons(image), mine, given[number])

    def compute(self) -> dict[str, float | None]:
        """Each of :data:`human_edge_detection.metrics.detection.METRICS`; None, with a warning, of no such image."""
        if not self._exhaustive.any():
            logger.warning(
                "%s: none of the %d images is exhaustively labelled, so what the detector finds is not measured",
                self._people.file,
                len(self._people.images),
            )
        return self._metrics.compute()


def _predictions(
    rois: Tensor, output: SegmentationOutput, images: int, scores: Tensor | None = None
) -> list[Prediction]:
    """For each of the images what is in its rois."""
    owners, boxes = rois[:, 0].cpu().numpy(), rois[:, 1:].float().cpu().numpy()
    masks = output.logits.float().softmax(1)[:, TARGET].cpu().numpy()
    all_scores = None if scores is None else scores.float().cpu().numpy()
    return [
        Prediction(boxes[own], masks[own], None if all_scores is None else all_scores[own])
        for own in (owners == number for number in range(images))
    ]


def _true_persons(image: AnnotatedImage) -> list[TruePerson]:
    return [
        TruePerson(
            person.box,
            person.segmentation,
            mask_area_and_box(person.segmentation, image.height, image.width)[0],
            person.is_crowd,
        )
        for person in (*image.persons, *image.crowds)
    ]
