"""From a model file and an image to persons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.boxes import to_fractions, to_pixels
from human_edge_prediction.components import connected_persons
from human_edge_prediction.description import Adapter
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.images import Image, check_image, read_image
from human_edge_prediction.models import Model, ModelOutput, open_model
from human_edge_prediction.prediction import BoxesFrom, Prediction
from human_edge_prediction.runtimes import CPU

MAX_ROIS: Final = 64
"""Boxes that a model is asked about at once; memory grows with them."""


class Predictor:
    """Finds persons on images, and their masks.

    Example:
        predictor = Predictor("best_model.onnx")
        prediction = predictor("image.jpg")
        print(len(prediction), prediction.boxes_from, prediction.scores)
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        detector: str | Path | Model | None = None,
        adapter: Adapter | Mapping[str, Any] | None = None,
        detector_adapter: Adapter | Mapping[str, Any] | None = None,
        min_score: float | None = None,
        max_rois: int = MAX_ROIS,
        threads: int | None = None,
        provider: str = CPU,
    ) -> None:
        """Opens the model, and what finds the boxes.

        Args:
            model: ``.onnx`` or ``.tflite``, or an open model.
            detector: Finds the boxes, where none are given; None: the model itself, or the file of the same export
                beside it that does (``best_model.detect.onnx``), else the connected parts of the person map.
            adapter: Describes a model of others.
            detector_adapter: Describes a detector of others.
            min_score: Who is found with a smaller score is left out, of whoever finds the boxes; None: as the file of
                the model or the description of the detector says. Given boxes are all answered.
            max_rois: Boxes that the model is asked about at once.
            threads: As many compute one operator; None: as the runtime likes.
            provider: Of ONNX Runtime.

        Raises:
            PredictionError: A file or a description cannot be used, or an argument makes no sense with the model.
        """
        if min_score is not None and not 0.0 <= min_score <= 1.0:
            raise AdapterError(f"min_score: expected 0 to 1, got {min_score}")
        if max_rois < 1:
            raise AdapterError(f"max_rois: expected at least 1, got {max_rois}")
        self.model = _opened(model, adapter, provider=provider, threads=threads)
        self.detector = (
            None if detector is None else _opened(detector, detector_adapter, provider=provider, threads=threads)
        )
        self._finder = self.model.finder() if self.detector is None else None
        self.min_score = min_score
        self._max_rois = max_rois

    def __call__(self, image: Image | str | Path, boxes: Any | None = None) -> Prediction:
        """The persons on an image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB of any size, or a file, which is turned as its EXIF orientation says.
            boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels around each person; None: they are found.

        Raises:
            ImageFileError: The image cannot be read.
            BoxError: The boxes are none, or lie outside of the image.
            AdapterError: The model takes no boxes, or its outputs are not as they are described.
            ModelFileError: The model cannot be run.
        """
        pixels = read_image(image) if isinstance(image, str | Path) else check_image(image)
        if boxes is not None:
            return self._in_boxes(pixels, to_fractions(boxes, pixels.shape[:2]), None, "given")
        if self.detector is not None:
            found = self.detector.boxes(pixels)
            kept = found.scores >= self._threshold(self.detector)
            return self._in_boxes(pixels, found.boxes[kept], found.scores[kept], "detector")
        if self._finder is not None:
            output = self._finder.predict(pixels)
            assert output.instances is not None
            return self._of(pixels, output.of(output.instances.scores >= self._threshold(self._finder)), "own detector")
        people = self.model.predict(pixels)
        assert people.person_map is not None
        parts = connected_persons(people.person_map)
        if self.model.takes_rois:
            return self._in_boxes(pixels, parts.boxes, None, "person map")
        return self._of(pixels, people._replace(instances=parts), "person map")

    def _threshold(self, finder: Model) -> float:
        return finder.min_score if self.min_score is None else self.min_score

    def _in_boxes(
        self, image: Image, boxes: NDArray[np.float32], scores: NDArray[np.float32] | None, boxes_from: BoxesFrom
    ) -> Prediction:
        output = self.model.predict(image, boxes, max_rois=self._max_rois)
        return self._of(image, output, boxes_from, scores)

    def _of(
        self, image: Image, output: ModelOutput, boxes_from: BoxesFrom, scores: NDArray[np.float32] | None = None
    ) -> Prediction:
        instances = output.instances
        assert instances is not None
        size = (image.shape[0], image.shape[1])
        return Prediction(
            image_size=size,
            boxes=to_pixels(instances.boxes, size),
            scores=instances.scores if scores is None else scores,
            boxes_from=boxes_from,
            instances=instances,
            person_probabilities=output.person_map,
            roi_probabilities=output.roi_probabilities,
        )


def _opened(
    model: str | Path | Model, adapter: Adapter | Mapping[str, Any] | None, *, provider: str, threads: int | None
) -> Model:
    if isinstance(model, Model):
        return model
    return open_model(model, adapter=adapter, provider=provider, threads=threads)
