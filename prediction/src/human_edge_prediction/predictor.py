"""From a model file and an image to persons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.boxes import check_boxes, fit_boxes, to_fractions, to_pixels
from human_edge_prediction.description import Adapter
from human_edge_prediction.errors import ArgumentError, ModelFileError
from human_edge_prediction.images.read import Image, check_image, read_image
from human_edge_prediction.instances import Instances
from human_edge_prediction.masks.components import connected_persons
from human_edge_prediction.models.model import Model, ModelOutput
from human_edge_prediction.models.open import open_model
from human_edge_prediction.models.own import DETECTOR
from human_edge_prediction.prediction import BoxesFrom, Prediction
from human_edge_prediction.runtimes import CPU

MAX_ROIS: Final = 64
"""Boxes that a model is asked about at once; memory grows with them."""
_DESCRIPTION = Adapter | Mapping[str, Any]


class Predictor:
    """Finds the persons on an image, and their masks.

    Attributes:
        model: Makes the masks.
        detector: Finds the boxes where none are given; None: they are the connected parts of the person map.

    Example:
        prediction = Predictor("best_model.onnx")("image.jpg")
        print(len(prediction), prediction.boxes_from, prediction.scores)
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        detector: str | Path | Model | None = None,
        adapter: _DESCRIPTION | None = None,
        detector_adapter: _DESCRIPTION | None = None,
        min_score: float | None = None,
        max_rois: int = MAX_ROIS,
        threads: int | None = None,
        provider: str = CPU,
    ) -> None:
        """Opens the model, and what finds the boxes.

        Args:
            model: ``.onnx``, ``.tflite`` or, of OpenVINO, ``.xml``, or an open model.
            detector: Finds the boxes where none are given; None: the model itself, or the file of the same export
                beside it that does (``best_model.detect.onnx``), else they are the connected parts of the person map.
            adapter: Describes a model of others.
            detector_adapter: Describes a detector of others.
            min_score: Who is found with a smaller score is left out; None: as the model's file or the description of
                the detector says. Boxes that are given are all answered.
            max_rois: Boxes that the model is asked about at once.
            threads: As many compute one operator; None: as the runtime likes.
            provider: Of ONNX Runtime.

        Raises:
            ArgumentError: An argument is out of range, or makes no sense with the model.
            ModelFileError: A file cannot be used.
            AdapterError: A description is missing or wrong, or does not fit its model.
            MissingPackageError: LiteRT or OpenVINO is needed and not installed.
        """
        if min_score is not None and not 0.0 <= min_score <= 1.0:
            raise ArgumentError(f"min_score: expected 0 to 1, got {min_score}")
        if max_rois < 1:
            raise ArgumentError(f"max_rois: expected at least 1, got {max_rois}")

        def opened(source: str | Path | Model, described: _DESCRIPTION | None) -> Model:
            if isinstance(source, Model):
                return source
            return open_model(source, adapter=described, provider=provider, threads=threads)

        self.model = opened(model, adapter)
        self.detector = self.model.finder() if detector is None else opened(detector, detector_adapter)
        self._finds_itself = detector is None
        self._min_score, self._max_rois = min_score, max_rois
        _check(self.model, self.detector, min_score, finds_itself=self._finds_itself)

    @property
    def min_score(self) -> float:
        """Who is found with a smaller score is left out."""
        if self._min_score is not None:
            return self._min_score
        return 0.0 if self.detector is None else self.detector.min_score

    @property
    def takes_boxes(self) -> bool:
        """Whether it can be given boxes; a model that finds persons itself cannot."""
        return self.model.takes_rois or self.model.kind == "person_map"

    @property
    def needs_boxes(self) -> bool:
        """Whether nothing finds boxes, so that they have to be given."""
        return self.detector is None and self.model.kind == "prompted"

    @property
    def misses_detector(self) -> bool:
        """Whether the model was exported beside a detector, and nothing finds boxes here: persons who touch are one."""
        return self.detector is None and DETECTOR in self.model.runtime.metadata

    def __call__(self, image: Image | str | Path, boxes: Any | None = None) -> Prediction:
        """The persons on an image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB of any size, or a file, which is turned as its EXIF orientation says.
            boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels around each person, N may be 0; None: they are found.

        Raises:
            ImageFileError: The image cannot be read.
            BoxError: The boxes are none, or lie outside of the image.
            AdapterError: The model takes no boxes, or its outputs are not as they are described.
            ModelFileError: The model cannot be run, or gives NaN.
        """
        pixels = read_image(image) if isinstance(image, str | Path) else check_image(image)
        size = (pixels.shape[0], pixels.shape[1])
        if boxes is not None:
            return _prediction(self._in_boxes(pixels, check_boxes(boxes, size)), "given", size, self.model.path)
        if self.detector is None:
            return _prediction(
                self._in_person_map(pixels, size).scoring(self.min_score), "person map", size, self.model.path
            )
        if self._finds_itself:
            return _prediction(
                self.detector.predict(pixels).scoring(self.min_score), "own detector", size, self.detector.path
            )
        found = self.detector.boxes(pixels)
        sure = found.scores >= self.min_score
        output = self._in_boxes(pixels, to_pixels(found.boxes[sure], size))
        assert output.instances is not None
        scored = output._replace(instances=output.instances._replace(scores=found.scores[sure]))
        return _prediction(scored, "detector", size, self.model.path)

    def _in_boxes(self, image: Image, boxes: NDArray[np.float32]) -> ModelOutput:
        """What the model sees in boxes, which are in pixels and may reach beyond the image."""
        size = (image.shape[0], image.shape[1])
        boxes = to_fractions(fit_boxes(boxes, size), size)
        if self.model.takes_rois or self.model.kind != "person_map":
            return self.model.predict(image, boxes, max_rois=self._max_rois)
        output = self.model.predict(image)
        assert output.person_map is not None
        # Who is there is not known to such a model: of all people, what lies in the box.
        masks = np.broadcast_to(output.person_map, (len(boxes), *output.person_map.shape))
        frames = np.tile(np.array([0, 0, 1, 1], np.float32), (len(boxes), 1))
        persons = Instances(boxes, np.zeros(len(boxes), np.float32), masks, frames)
        return output._replace(instances=persons.scored(size))

    def _in_person_map(self, image: Image, size: tuple[int, int]) -> ModelOutput:
        """What the model sees in the connected parts of its own person map."""
        output = self.model.predict(image)
        assert output.person_map is not None
        parts = connected_persons(output.person_map, size)
        if not self.model.takes_rois:
            return output._replace(instances=parts)
        return self._in_boxes(image, to_pixels(parts.boxes, size))


def _check(model: Model, detector: Model | None, min_score: float | None, *, finds_itself: bool) -> None:
    """Refuses models that cannot do what they are there for, and a score that one of them does not go down to."""
    if model.kind == "boxes":
        raise ArgumentError(f"{model.path} gives boxes only: give it as 'detector', beside a model that makes masks")
    if not finds_itself and model.finds_persons:
        raise ArgumentError(f"{model.path} finds persons itself and takes no boxes of a 'detector'; leave that out")
    if detector is None:
        return
    if not finds_itself and not detector.finds_boxes:
        raise ArgumentError(f"detector {detector.path} finds no boxes: it is a model of kind {detector.kind!r}")
    if min_score is not None and min_score < detector.built_in_min_score:
        raise ArgumentError(
            f"min_score {min_score:g}: {detector.path} leaves out itself who scores less than "
            f"{detector.built_in_min_score:g}; export it anew with --min_score {min_score:g}"
        )


def _prediction(output: ModelOutput, boxes_from: BoxesFrom, size: tuple[int, int], path: Path) -> Prediction:
    persons = output.instances
    assert persons is not None
    people = output.person_map
    if np.isnan(persons.masks).any() or (people is not None and np.isnan(people).any()):
        raise ModelFileError(f"{path}: gives NaN in place of probabilities; it is damaged, or of too low a precision")
    return Prediction(
        image_size=size,
        boxes=to_pixels(persons.boxes, size),
        scores=persons.scores,
        boxes_from=boxes_from,
        instances=persons,
        person_probabilities=output.person_map,
        roi_probabilities=output.roi_probabilities,
    )
