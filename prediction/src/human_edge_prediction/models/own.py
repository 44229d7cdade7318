"""Models that ``human-edge-detection`` exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import Array
from human_edge_prediction.description import ImageInput, Kind
from human_edge_prediction.errors import AdapterError, ModelFileError
from human_edge_prediction.images.read import Image
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.models.model import Model, ModelOutput
from human_edge_prediction.models.slots import run_in_slots
from human_edge_prediction.resampling import resize
from human_edge_prediction.runtimes import Runtime

OURS: Final = "human-edge-detection"
CHANNELS_LAST: Final = "channels_last"
"""Of the metadata, for those who use a file without this package: names of inputs and outputs, as JSON."""
_CHANNELS: Final[Mapping[str, int]] = {"images": 3, "masks": 3, "binary_masks": 1}
"""Of inputs and outputs that are images."""
DETECTOR: Final = "detector"
"""In the metadata of a file that was exported beside one that finds the persons."""
_FOUND: Final = frozenset({"boxes", "scores", "masks"})
"""Outputs of a model of ours that finds persons itself."""
_TARGET: Final = 1
"""Of the classes background, target, other people."""
_WHOLE: Final = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)


class OwnModel(Model):
    """A model that ``human-edge-detection`` exported: a person map, and masks of persons.

    ``best_model.onnx`` has masks in the boxes that it is given, if it has a head for rois; ``best_model.detect.onnx``
    finds the persons itself. Static files, of one image and so many rois, are asked as often as it takes.

    Attributes:
        roi_slots: Rois that a static file takes, no more and no less; None: any number, or none at all.
    """

    def __init__(
        self,
        path: Path,
        runtime: Runtime,
        *,
        min_score: float | None = None,
        open_finder: Callable[[], OwnModel | None] = lambda: None,
    ) -> None:
        """A model whose metadata say how it is used.

        Args:
            path: Its file.
            runtime: What runs it.
            min_score: Who scores less is left out by the model; None: as its metadata say.
            open_finder: Opens the model of the same weights that finds persons itself; called when it is needed.

        Raises:
            ModelFileError: It has other inputs or outputs than were known when this package was written.
        """
        names = {info.name for info in runtime.outputs}
        shapes = {info.name: info.shape for info in runtime.inputs}
        self._channels_last = channels_last(runtime)
        images = self._channels_first("images", shapes.get("images", ()))
        sides = images[2:]
        are_known = shapes.keys() <= {"images", "rois"} and len(sides) == 2 and None not in sides
        if "binary_masks" not in names or not are_known or images[0] not in (None, 1):
            raise ModelFileError(
                f"{path}: an export of {OURS} with inputs {', '.join(shapes)} and outputs {', '.join(sorted(names))}, "
                "which this version does not know; install a newer one, or describe it with an adapter"
            )
        size = (int(sides[0] or 0), int(sides[1] or 0))
        super().__init__(path, runtime, ImageInput(size=size, name="images"))
        self._takes_rois = "rois" in shapes
        self._takes_one_image = images[0] == 1
        self.roi_slots = shapes.get("rois", (None,))[0]
        self._finds_persons = names >= _FOUND
        self._open_finder = open_finder
        self._min_score = _min_score(path, runtime.metadata) if min_score is None else min_score
        self.kind: Kind = "instances" if self._takes_rois or self._finds_persons else "person_map"

    @property
    def takes_rois(self) -> bool:
        """Whether it has a head for rois."""
        return self._takes_rois

    @property
    def mask_size(self) -> tuple[int, int] | None:
        """(height, width) of its masks; None without a head for rois."""
        shape = next((info.shape for info in self.runtime.outputs if info.name == "masks"), (None, None, None, None))
        height, width = self._channels_first("masks", shape)[-2:]
        return None if height is None or width is None else (height, width)

    def run(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Array]:
        """The outputs ``binary_masks (B, 1, H, W)`` and, with a head for rois, ``masks (N, 3, h, w)``, by name.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].
            rois: ``(N, 5)`` index of the image, then x1, y1, x2, y2 as fractions of it; not looked at without such a
                head.
        """
        if self.roi_slots is None and (not self._takes_one_image or len(images) == 1):
            return self._run_once(images, rois)
        return run_in_slots(self._run_once, images, rois if self._takes_rois else rois[:0], self.roi_slots)

    def _run_once(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Array]:
        """As :meth:`run`, of as many images and rois as the file takes."""
        feeds = {"images": images, "rois": rois} if self._takes_rois else {"images": images}
        if "images" in self._channels_last:
            feeds["images"] = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        arrays = self.runtime.run(feeds)
        return {
            info.name: array.transpose(0, 3, 1, 2) if info.name in self._channels_last else array
            for info, array in zip(self.runtime.outputs, arrays, strict=True)
        }

    def _channels_first(self, name: str, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """``shape`` of an input or an output of the file as it would be with its channels on axis 1."""
        if name not in self._channels_last or len(shape) != 4:
            return shape
        count, height, width, channels = shape
        return (count, channels, height, width)

    @property
    def finds_persons(self) -> bool:
        """As of :class:`Model`."""
        return self._finds_persons

    @property
    def min_score(self) -> float:
        """As of :class:`Model`: a constant of the graph, as its metadata has it."""
        return self.built_in_min_score

    @property
    def built_in_min_score(self) -> float:
        """As of :class:`Model`."""
        return self._min_score

    def finder(self) -> Model | None:
        """As of :class:`Model`: ``best_model.detect.onnx`` beside ``best_model.onnx``."""
        if self._finds_persons:
            return self
        return self._open_finder() if self._takes_rois else None

    def predict(self, image: Image, boxes: NDArray[np.float32] | None = None, *, max_rois: int = 64) -> ModelOutput:
        """As of :class:`Model`."""
        if self._finds_persons:
            if boxes is not None:
                raise AdapterError(f"{self.path} finds persons itself: it takes no 'boxes'")
            outputs = self.run(adapting.to_input(image, self.input)[0], _rois(()))
            found, scores = (np.asarray(outputs[name], np.float32) for name in ("boxes", "scores"))
            return _own_output(outputs, found[:, 1:], scores)
        if boxes is not None and not self._takes_rois:
            raise self._gives_no("masks of persons")
        images = adapting.to_input(image, self.input)[0]
        asked = _WHOLE if boxes is None or not len(boxes) else boxes
        runs = [self.run(images, _rois(asked[first : first + max_rois])) for first in range(0, len(asked), max_rois)]
        if boxes is None:
            return _own_output(runs[0])
        outputs = {**runs[0], "masks": np.concatenate([one["masks"] for one in runs])[: len(boxes)]}
        output = _own_output(outputs, boxes, np.zeros(len(boxes), np.float32))
        assert output.instances is not None
        return output._replace(instances=output.instances.scored((image.shape[0], image.shape[1])))

    def prepared(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> Callable[[], object]:
        """As of :class:`Model`."""
        images, rois = adapting.to_input(image, self.input)[0], _rois(boxes)
        return lambda: self.run(images, rois)

    def person_map(self, image: Image) -> NDArray[np.float32]:
        """As of :class:`Model`."""
        people = self.predict(image).person_map
        assert people is not None
        return np.asarray(resize(people, image.shape[:2]), np.float32)

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """As of :class:`Model`.

        The score of a person in a given box is the mean probability inside the mask on ``image``, 0 without a mask.
        """
        if boxes is None and self._takes_rois:
            raise AdapterError(
                f"{self.path} does not find persons itself: give 'boxes' around them, or open the file beside it that "
                "ends in .detect.onnx, if there is one"
            )
        found = self.predict(image, None if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4)).instances
        if found is None:
            raise self._gives_no("masks of persons")
        return found

    def boxes(self, image: Image) -> Boxes:
        """As of :class:`Model`."""
        if not self._finds_persons:
            raise self._gives_no("boxes")
        return Boxes(*self.instances(image)[:2])


def has_own_names(runtime: Runtime) -> bool:
    """Whether inputs and outputs are called as those of an export of ours."""
    inputs, outputs = ({info.name for info in infos} for infos in (runtime.inputs, runtime.outputs))
    return "images" in inputs <= {"images", "rois"} and "binary_masks" in outputs <= {"binary_masks", *_FOUND}


def is_own(runtime: Runtime) -> bool:
    """Whether the file says that ``human-edge-detection`` has exported it."""
    return runtime.metadata.get("written_by", "").startswith(OURS)


def channels_last(runtime: Runtime) -> list[str]:
    """The inputs and outputs whose channels are on the last axis, as some runtimes want them; their shapes tell."""
    return [
        info.name
        for info in (*runtime.inputs, *runtime.outputs)
        if len(info.shape) == 4 and info.shape[-1] == _CHANNELS.get(info.name) != info.shape[1]
    ]


def _min_score(path: Path, metadata: Mapping[str, str]) -> float:
    """Who scores less is left out, as a file says itself.

    Raises:
        ModelFileError: What it says is no score.
    """
    text = metadata.get("min_score", "0")
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:
        raise ModelFileError(f"{path}: its metadata say min_score {text!r}, expected 0 to 1; export it anew")
    return score


def _own_output(
    outputs: Mapping[str, Array], boxes: NDArray[np.float32] | None = None, scores: NDArray[np.float32] | None = None
) -> ModelOutput:
    """The outputs of a model of ours for one image, with the persons in ``boxes``, if there are."""
    people = np.asarray(outputs["binary_masks"][0, 0], np.float32)
    if boxes is None or scores is None:
        return ModelOutput(people, None)
    probabilities = _softmax(outputs["masks"])
    return ModelOutput(people, Instances(boxes, scores, probabilities[:, _TARGET], boxes), probabilities)


def _softmax(logits: Array) -> NDArray[np.float32]:
    """``(N, 3, h, w)`` logits -> probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _rois(boxes: Sequence[Sequence[float]] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes on the first image as ``(N, 5)`` rois."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    return np.concatenate([np.zeros((len(corners), 1), np.float32), corners], axis=1)
