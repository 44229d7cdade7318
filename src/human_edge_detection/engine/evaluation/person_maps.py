"""Who is where, as small pictures for reports: on training views and on validation images."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.heads import BY_NAME
from human_edge_detection.runs.person_maps import (
    IGNORED,
    MOST_IMAGES,
    MOST_VIEWS,
    NOBODY,
    OTHERS,
    ImageMaps,
    TrainingView,
    TrainingViews,
)
from human_edge_detection.structures import IGNORE, TARGET, Batch, SegmentationOutput
from human_edge_prediction.resampling import paste_roi, resize

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

_MAP_SIDE: Final = 256
"""Longest side of a map of a validation image, pixels."""
_VIEW_SIDE: Final = 320
"""Longest side of a training view, pixels."""
_JPEG_QUALITY: Final = 85
_PERSON_NUMBERS: Final = OTHERS - 1
_FULL_IMAGE: Final = BY_NAME["full_image"].key


def paste_classes(classes: Pixels, boxes: NDArray[np.float32], size: tuple[int, int]) -> list[Pixels]:
    """A class map ``(height, width)`` of the whole image for each roi, background outside it.

    Args:
        classes: ``(n, h, w)`` uint8 of each roi.
        boxes: ``(n, 4)`` x1, y1, x2, y2 as fractions of the image.
        size: (height, width) of the image.
    """
    maps = []
    for values, box in zip(classes, boxes, strict=True):
        canvas = np.zeros(size, np.uint8)
        where, pasted = paste_roi(values, box, size, linear=False)
        canvas[where] = pasted
        maps.append(canvas)
    return maps


def person_map(classes: Pixels, boxes: NDArray[np.float32], size: tuple[int, int]) -> Pixels:
    """Who is where, ``(height, width)`` uint8; where persons overlap, the smaller one is on top.

    The arguments are those of :func:`paste_classes`.
    """
    maps = paste_classes(classes, boxes, size)
    drawn = np.full(size, NOBODY, np.uint8)
    for values in maps:
        drawn[values == IGNORE] = IGNORED
    for number in sorted(range(len(maps)), key=lambda number: -int((maps[number] == TARGET).sum())):
        drawn[maps[number] == TARGET] = number % _PERSON_NUMBERS + 1
    return drawn


class PersonMaps:
    """Collects the maps of validation images, of some when there are many; a collector as metrics are.

    Args:
        people: The annotations of the images.
    """

    def __init__(self, people: AnnotationSet) -> None:
        step = max(1, -(-len(people.images) // MOST_IMAGES))
        self._shown = {image.id: image for image in people.images[::step]}
        self._maps: list[ImageMaps] = []

    @torch.no_grad()
    def update(self, output: SegmentationOutput, batch: Batch) -> None:
        """Adds the images of one batch that are shown."""
        shown = [number for number, image_id in enumerate(batch.image_ids) if image_id in self._shown]
        if not shown:
            return
        truth, found = self._of_rois(output, batch) if len(output.logits) else (None, None)
        for number in shown:
            image = self._shown[batch.image_ids[number]]
            size = _fitting((image.height, image.width), _MAP_SIDE)
            if truth is not None and found is not None:
                boxes, own = batch.rois[:, 1:].float().cpu().numpy(), (batch.rois[:, 0] == number).cpu().numpy()
                maps = [person_map(classes[own], boxes[own], size) for classes in (truth, found)]
            else:
                maps = [resize_classes(classes, size) for classes in _of_image(output, batch, number)]
            encoded = [_png(drawn) for drawn in maps]
            self._maps.append(
                ImageMaps(id=image.id, file_name=image.file_name, truth=encoded[0], prediction=encoded[1])
            )

    @staticmethod
    def _of_rois(output: SegmentationOutput, batch: Batch) -> tuple[Pixels, Pixels]:
        """True and predicted classes ``(N, h, w)`` of the rois."""
        return _bytes(batch.roi_masks), _bytes(output.logits.argmax(1))

    def compute(self) -> tuple[ImageMaps, ...]:
        """Those of all batches."""
        return tuple(self._maps)


def _of_image(output: SegmentationOutput, batch: Batch, number: int) -> tuple[Pixels, Pixels]:
    """True and predicted persons ``(IH, IW)`` of a whole image; nobody where the model does not say."""
    truth = _bytes(batch.person_masks[number])
    logits = output.aux.get(_FULL_IMAGE)
    return truth, np.zeros_like(truth) if logits is None else _bytes(logits[number, 0] > 0)


def resize_classes(classes: Pixels, size: tuple[int, int]) -> Pixels:
    """``classes`` at another size, the nearest one of each pixel."""
    return np.asarray(cv2.resize(classes, (size[1], size[0]), interpolation=cv2.INTER_NEAREST), np.uint8)


def training_views(dataset: PersonDataset) -> TrainingViews:
    """Some views of the first epoch with their labels, evenly spread; one that cannot be read is left out."""
    count = min(len(dataset), MOST_VIEWS)
    return TrainingViews(views=tuple(_views(dataset, [number * len(dataset) // count for number in range(count)])))


def _views(dataset: PersonDataset, indices: Sequence[int]) -> Iterator[TrainingView]:
    for index in indices:
        try:
            sample = dataset[(0, index)]
        except DataError as error:
            logger.debug("no view of image %d: %s", index, error)  # training will say so when it comes to it
            continue
        image = np.ascontiguousarray(sample.image.transpose(1, 2, 0))
        size = _fitting(image.shape[:2], _VIEW_SIDE, enlarge=False)
        persons = person_map(sample.roi_masks, sample.boxes, size)
        anyone = resize_classes(sample.person_mask, size)
        unnamed = persons == NOBODY  # of more persons than have a roi, or ignored outside of all rois
        persons[unnamed] = np.array([NOBODY, OTHERS], np.uint8)[(anyone == 1).astype(np.intp)][unnamed]
        persons[unnamed & (anyone == IGNORE)] = IGNORED
        yield TrainingView(
            file_name=dataset.people.images[index].file_name, image=_jpeg(resize(image, size)), persons=_png(persons)
        )


def _fitting(size: tuple[int, ...], side: int, *, enlarge: bool = True) -> tuple[int, int]:
    """(height, width) of the same shape whose longer side is ``side`` pixels."""
    height, width = size[:2]
    factor = side / max(height, width)
    factor = factor if enlarge else min(factor, 1.0)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _bytes(classes: Tensor) -> Pixels:
    return np.asarray(classes.to(torch.uint8).cpu().numpy(), np.uint8)


def _png(drawn: Pixels) -> str:
    return _base64(cv2.imencode(".png", drawn, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return _base64(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def _base64(encoded: NDArray[np.uint8]) -> str:
    return base64.b64encode(encoded.tobytes()).decode()
