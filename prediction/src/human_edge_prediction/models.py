"""A model file, ours or another's, as a function from an image to persons."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import Array, Outputs, Region
from human_edge_prediction.description import Adapter, Detections, ImageInput, Kind, PersonMap, read_adapter
from human_edge_prediction.errors import AdapterError, ModelFileError
from human_edge_prediction.images.read import Image
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.resampling import resize
from human_edge_prediction.runtimes import CPU, Runtime, TensorInfo, open_runtime

_OURS: Final = "human-edge-detection"
_FOUND: Final = frozenset({"boxes", "scores", "masks"})
"""Outputs of a model of ours that finds persons itself."""
_TARGET: Final = 1
"""Of the classes background, target, other people."""
_DETECTOR_SUFFIX: Final = ".detect.onnx"
_WHOLE: Final = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)


class ModelOutput(NamedTuple):
    """What a model gives for one image in one pass.

    Attributes:
        person_map: ``(h, w)`` float32 probability of any person, over the whole image at the model's resolution; None:
            it gives none.
        instances: The persons; None: it gives none, or was not asked about any.
        roi_probabilities: ``(N, 3, h, w)`` float32 of background, this person and other people in the box of each of
            ``instances``; None: it gives none.
    """

    person_map: NDArray[np.float32] | None
    instances: Instances | None
    roi_probabilities: NDArray[np.float32] | None = None

    def scoring(self, least: float) -> ModelOutput:
        """The same with those of the persons that score at least so much."""
        assert self.instances is not None
        kept = self.instances.scores >= least
        rois = self.roi_probabilities
        return ModelOutput(self.person_map, self.instances.of(kept), None if rois is None else rois[kept])


class Model:
    """A model that is open; :class:`OwnModel` and :class:`ForeignModel` say what it gives.

    Attributes:
        kind: What it is for.
        path: Its file.
        runtime: What runs it.
        input: The image that it takes.
    """

    kind: Kind

    def __init__(self, path: Path, runtime: Runtime, image: ImageInput) -> None:
        self.path = path
        self.runtime = runtime
        self.input = image

    @property
    def takes_rois(self) -> bool:
        """Whether it is asked about boxes, and takes the longer the more there are."""
        return False

    @property
    def finds_persons(self) -> bool:
        """Whether it finds persons by itself, with boxes."""
        return False

    @property
    def finds_boxes(self) -> bool:
        """Whether :meth:`boxes` gives any."""
        return self.finds_persons or self.kind == "boxes"

    @property
    def min_score(self) -> float:
        """Who scores less is not taken for a person, unless a caller says otherwise."""
        return 0.0

    @property
    def built_in_min_score(self) -> float:
        """Who scores less is left out by the model itself, whatever a caller says."""
        return 0.0

    def finder(self) -> Model | None:
        """The model that finds the persons for this one: itself, one of the same export, or None.

        Raises:
            ModelFileError: There is a file for it, which cannot be used.
        """
        return self if self.finds_persons else None

    def predict(self, image: Image, boxes: NDArray[np.float32] | None = None, *, max_rois: int = 64) -> ModelOutput:
        """All that the model gives for an image.

        Args:
            image: ``(H, W, 3)`` RGB.
            boxes: ``(N, 4)`` as fractions of the image, for a model that takes rois; None: only what needs none.
            max_rois: It is asked about so many at once.

        Raises:
            AdapterError: As :meth:`person_map`; or boxes are given to a model that takes none.
        """
        raise self._gives_no("persons")

    def feeds(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> dict[str, Array]:
        """What the runtime is given for ``image``, ``(H, W, 3)`` RGB, and boxes as :meth:`instances` takes them."""
        return {self._image_name: adapting.to_input(image, self.input)[0]}

    def person_map(self, image: Image) -> NDArray[np.float32]:
        """The probability of a person at each pixel.

        Args:
            image: ``(H, W, 3)`` RGB.

        Returns:
            ``(H, W)`` in [0, 1].

        Raises:
            AdapterError: The model does not give this, or its outputs are not as they are described.
        """
        raise self._gives_no("person map")

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """The persons with their masks.

        Args:
            image: ``(H, W, 3)`` RGB.
            boxes: x1, y1, x2, y2 around each person, as fractions of the image, for a model that takes rois; None: for
                one that finds persons itself.

        Raises:
            AdapterError: As :meth:`person_map`; or boxes are given to a model that takes none, or the reverse.
        """
        raise self._gives_no("masks of persons")

    def boxes(self, image: Image) -> Boxes:
        """The boxes around persons on ``image``, ``(H, W, 3)`` RGB.

        Raises:
            AdapterError: As :meth:`person_map`.
        """
        raise self._gives_no("boxes")

    @property
    def _image_name(self) -> str:
        return _input_of(self.runtime, self.input).name

    def _run(self, feeds: Mapping[str, Array]) -> Outputs:
        """The outputs by name and by position."""
        arrays = self.runtime.run(feeds)
        return {
            **dict(enumerate(arrays)),
            **{info.name: one for info, one in zip(self.runtime.outputs, arrays, strict=True)},
        }

    def _gives_no(self, what: str) -> AdapterError:
        return AdapterError(f"{self.path} gives no {what}: it is a model of kind {self.kind!r}")


class OwnModel(Model):
    """A model that ``human-edge-detection`` exported: a person map, and masks of persons.

    ``best_model.onnx`` has masks in the boxes that it is given, if it has a head for rois; ``best_model.detect.onnx``
    finds the persons itself.
    """

    def __init__(
        self, path: Path, runtime: Runtime, *, open_finder: Callable[[], OwnModel | None] = lambda: None
    ) -> None:
        """A model whose metadata say how it is used.

        Args:
            path: Its file.
            runtime: What runs it.
            open_finder: Opens the model of the same weights that finds persons itself; called when it is needed.

        Raises:
            ModelFileError: It has other inputs or outputs than were known when this package was written.
        """
        names = {info.name for info in runtime.outputs}
        shapes = {info.name: info.shape for info in runtime.inputs}
        sides = shapes.get("images", ())[2:]
        if "binary_masks" not in names or len(sides) != 2 or not shapes.keys() <= {"images", "rois"} or None in sides:
            raise ModelFileError(
                f"{path}: an export of {_OURS} with inputs {', '.join(shapes)} and outputs {', '.join(sorted(names))}, "
                "which this version does not know; install a newer one, or describe it with an adapter"
            )
        size = (int(sides[0] or 0), int(sides[1] or 0))
        super().__init__(path, runtime, ImageInput(size=size, name="images"))
        self._takes_rois = "rois" in shapes
        self._finds_persons = names >= _FOUND
        self._open_finder = open_finder
        self.kind: Kind = "instances" if self._takes_rois or self._finds_persons else "person_map"

    @property
    def takes_rois(self) -> bool:
        """Whether it has a head for rois."""
        return self._takes_rois

    @property
    def mask_size(self) -> tuple[int, int] | None:
        """(height, width) of its masks; None without a head for rois."""
        shape = next((info.shape for info in self.runtime.outputs if info.name == "masks"), (None, None))
        height, width = shape[-2:]
        return None if height is None or width is None else (height, width)

    def run(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Array]:
        """The outputs ``binary_masks (B, 1, H, W)`` and, with a head for rois, ``masks (N, 3, h, w)``, by name.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].
            rois: ``(N, 5)`` index of the image, then x1, y1, x2, y2 as fractions of it; not looked at without such a
                head.
        """
        feeds = {"images": images, "rois": rois} if self._takes_rois else {"images": images}
        arrays = self.runtime.run(feeds)
        return {info.name: array for info, array in zip(self.runtime.outputs, arrays, strict=True)}

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
        return float(self.runtime.metadata.get("min_score", 0.0))

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

    def feeds(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> dict[str, Array]:
        """As of :class:`Model`."""
        feeds = super().feeds(image)
        if self._takes_rois:
            feeds["rois"] = _rois(boxes)
        return feeds

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


class ForeignModel(Model):
    """A model of others, as an adapter describes it."""

    def __init__(self, path: Path, runtime: Runtime, adapter: Adapter) -> None:
        """A model whose input and names of outputs are checked against the description; their values are, when it runs.

        Raises:
            AdapterError: The model takes another input than is described, or has no such output.
        """
        super().__init__(path, runtime, adapter.input)
        _check_input(path, _input_of(runtime, adapter.input), adapter.input, len(runtime.inputs))
        _check_outputs(path, runtime, adapter.output.outputs)
        self.kind = adapter.kind
        self._output = adapter.output

    @property
    def finds_persons(self) -> bool:
        """As of :class:`Model`: a model of instances does."""
        return self.kind == "instances"

    @property
    def min_score(self) -> float:
        """As of :class:`Model`, as the adapter says."""
        return self._output.min_score if isinstance(self._output, Detections) else 0.0

    def predict(self, image: Image, boxes: NDArray[np.float32] | None = None, *, max_rois: int = 64) -> ModelOutput:
        """As of :class:`Model`."""
        if boxes is not None:
            raise AdapterError(f"{self.path} takes no 'boxes': it is a model of kind {self.kind!r}")
        outputs, region = self._answer(image)
        if isinstance(self._output, PersonMap):
            people = adapting.person_map(outputs, self._output, layout=self.input.layout, region=region)
            return ModelOutput(people, None)
        if self._output.masks is None:
            return super().predict(image)
        return ModelOutput(None, adapting.instances(outputs, self._output, size=self.input.size, region=region))

    def person_map(self, image: Image) -> NDArray[np.float32]:
        """As of :class:`Model`; of a model of instances, where any of them is that scores enough."""
        if self.kind == "boxes":
            return super().person_map(image)
        found = self.predict(image)
        if found.person_map is not None:
            return np.asarray(resize(found.person_map, image.shape[:2]), np.float32)
        assert found.instances is not None
        return found.instances.person_map(image.shape[:2], min_score=self.min_score)

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """As of :class:`Model`."""
        if self.kind != "instances":
            return super().instances(image, boxes)
        if boxes is not None:
            raise AdapterError(f"{self.path} finds persons itself: it takes no 'boxes'")
        found = self.predict(image).instances
        assert found is not None
        return found

    def boxes(self, image: Image) -> Boxes:
        """As of :class:`Model`."""
        if not isinstance(self._output, Detections):
            return super().boxes(image)
        outputs, region = self._answer(image)
        return adapting.detections(outputs, self._output, size=self.input.size, region=region)

    def _answer(self, image: Image) -> tuple[Outputs, Region]:
        array, region = adapting.to_input(image, self.input)
        return self._run({self._image_name: array}), region


def open_model(
    path: str | Path,
    *,
    adapter: Adapter | Mapping[str, Any] | None = None,
    provider: str = CPU,
    threads: int | None = None,
) -> Model:
    """Opens a model file.

    Args:
        path: ``.onnx`` or ``.tflite``.
        adapter: What the model takes and gives; None: it was exported by ``human-edge-detection`` and says so itself.
        provider: Of ONNX Runtime.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        ModelFileError: It is missing, damaged or of another kind, or there is no such provider.
        AdapterError: The description is missing or wrong, or does not fit the model.
        MissingPackageError: LiteRT is needed and not installed.
    """
    path = Path(path)
    described = adapter if adapter is None or isinstance(adapter, Adapter) else read_adapter(adapter)
    runtime = open_runtime(path, provider=provider, threads=threads)
    if described is not None:
        return ForeignModel(path, runtime, described)
    if is_own(runtime):
        return OwnModel(path, runtime, open_finder=partial(_open_finder, path, runtime, provider, threads))
    raise AdapterError(
        f"{path} was not exported by {_OURS}: describe it with an adapter (inputs "
        f"{', '.join(map(_shown, runtime.inputs))}; outputs {', '.join(map(_shown, runtime.outputs))})"
    )


def _open_finder(path: Path, runtime: Runtime, provider: str, threads: int | None) -> OwnModel | None:
    """``best_model.detect.onnx`` beside ``best_model.onnx``, if it is there; both have to be of one checkpoint."""
    beside = path.with_name(f"{path.stem}{_DETECTOR_SUFFIX}")
    if not beside.is_file():
        return None
    other = open_runtime(beside, provider=provider, threads=threads)
    mine, its = (one.metadata.get("checkpoint_sha256") for one in (runtime, other))
    if not is_own(other) or mine != its:
        raise ModelFileError(f"{beside} is not of the checkpoint that {path} was exported from; export them anew")
    return OwnModel(beside, other)


def is_own(runtime: Runtime) -> bool:
    """Whether the file says that ``human-edge-detection`` has exported it."""
    return runtime.metadata.get("written_by", "").startswith(_OURS)


def _input_of(runtime: Runtime, wanted: ImageInput) -> TensorInfo:
    inputs: dict[str | int, TensorInfo] = dict(enumerate(runtime.inputs))
    inputs |= {info.name: info for info in runtime.inputs}
    if wanted.name not in inputs:
        names = ", ".join(repr(info.name) for info in runtime.inputs)
        raise AdapterError(f"the model has no input {wanted.name!r}; it has {names}")
    return inputs[wanted.name]


def _check_input(path: Path, info: TensorInfo, wanted: ImageInput, count: int) -> None:
    if count != 1:
        raise AdapterError(f"{path} has {count} inputs; only models that take one image and nothing else are supported")
    height, width = wanted.size
    described = (1, 3, height, width) if wanted.layout == "NCHW" else (1, height, width, 3)
    fits = len(info.shape) == 4 and all(side in (None, one) for side, one in zip(info.shape, described, strict=True))
    if not fits or info.dtype != wanted.dtype:
        raise AdapterError(
            f"{path}: its input is {_shown(info)}, and the adapter says {json.dumps(described)} {wanted.dtype} "
            f"({wanted.layout}); change size, layout or dtype of the adapter's input"
        )


def _check_outputs(path: Path, runtime: Runtime, wanted: Sequence[str | int]) -> None:
    names = [info.name for info in runtime.outputs]
    for name in wanted:
        if name not in names and name not in range(len(names)):
            raise AdapterError(
                f"{path} has no output {name!r}; it has {', '.join(map(repr, names))}, or positions from 0"
            )


def _shown(info: TensorInfo) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in info.shape)
    return f"{info.name} ({sides}) {info.dtype}"


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
