"""A model file, ours or another's, as a function from an image to persons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import Array, Outputs, Region
from human_edge_prediction.description import Adapter, Detections, ImageInput, Kind, PersonMap, read_adapter
from human_edge_prediction.errors import AdapterError, ModelFileError
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.resampling import resize
from human_edge_prediction.runtimes import CPU, Runtime, TensorInfo, open_runtime

Image = NDArray[np.uint8]
_OURS: Final = "human-edge-detection"
_FOUND: Final = frozenset({"boxes", "scores", "masks"})
"""Outputs of a model of ours that finds persons itself."""
_TARGET: Final = 1
"""Of the classes background, target, other people."""


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

    def __init__(self, path: Path, runtime: Runtime) -> None:
        """A model whose metadata say how it is used.

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

    def feeds(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> dict[str, Array]:
        """As of :class:`Model`."""
        feeds = super().feeds(image)
        if self._takes_rois:
            feeds["rois"] = _rois(boxes)
        return feeds

    def person_map(self, image: Image) -> NDArray[np.float32]:
        """As of :class:`Model`."""
        (plane,) = self._run(self.feeds(image, [(0.0, 0.0, 1.0, 1.0)]))["binary_masks"][:, 0]
        return np.asarray(resize(plane, image.shape[:2]), np.float32)

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """As of :class:`Model`.

        The score of a person in a given box is the mean probability inside its mask, 0 without a mask.
        """
        if self._finds_persons:
            return self._found(image, boxes)
        if not self._takes_rois:
            raise self._gives_no("masks of persons")
        if boxes is None:
            raise AdapterError(
                f"{self.path} does not find persons itself: give 'boxes' around them, or open the file beside it that "
                "ends in .detect.onnx, if there is one"
            )
        frames = _rois(boxes)[:, 1:]
        if not len(frames):
            size = self.mask_size or (1, 1)
            return Instances(frames, np.zeros(0, np.float32), np.zeros((0, *size), np.float32), frames)
        masks = _target_probabilities(self._run(self.feeds(image, boxes))["masks"])
        inside = masks > 0.5
        scores = (masks * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)
        return Instances(frames, scores.astype(np.float32), masks, frames)

    def boxes(self, image: Image) -> Boxes:
        """As of :class:`Model`."""
        if not self._finds_persons:
            raise self._gives_no("boxes")
        return Boxes(*self._found(image)[:2])

    def _found(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """Whom the model finds itself, the likeliest first."""
        if boxes is not None:
            raise AdapterError(f"{self.path} finds persons itself: it takes no 'boxes'")
        outputs = self._run(self.feeds(image))
        frames, scores = (np.asarray(outputs[name], np.float32) for name in ("boxes", "scores"))
        return Instances(frames[:, 1:], scores, _target_probabilities(outputs["masks"]), frames[:, 1:])


class ForeignModel(Model):
    """A model of others, as an adapter describes it."""

    def __init__(self, path: Path, runtime: Runtime, adapter: Adapter) -> None:
        """A model whose input is checked against the description; its outputs are, when it runs.

        Raises:
            AdapterError: The model takes another input than is described.
        """
        super().__init__(path, runtime, adapter.input)
        _check_input(path, _input_of(runtime, adapter.input), adapter.input, len(runtime.inputs))
        self.kind = adapter.kind
        self._output = adapter.output

    def person_map(self, image: Image) -> NDArray[np.float32]:
        """As of :class:`Model`; of a model of instances, where any of them is that scores at least one half."""
        if isinstance(self._output, PersonMap):
            outputs, region = self._answer(image)
            found = adapting.person_map(outputs, self._output, layout=self.input.layout, region=region)
            return np.asarray(resize(found, image.shape[:2]), np.float32)
        if self.kind == "instances":
            return self.instances(image).person_map(image.shape[:2], min_score=0.5)
        return super().person_map(image)

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """As of :class:`Model`."""
        if self.kind != "instances":
            return super().instances(image, boxes)
        if boxes is not None:
            raise AdapterError(f"{self.path} finds persons itself: it takes no 'boxes'")
        assert isinstance(self._output, Detections)
        outputs, region = self._answer(image)
        return adapting.instances(outputs, self._output, size=self.input.size, region=region)

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
        return OwnModel(path, runtime)
    raise AdapterError(
        f"{path} was not exported by {_OURS}: describe it with an adapter (inputs "
        f"{', '.join(map(_shown, runtime.inputs))}; outputs {', '.join(map(_shown, runtime.outputs))})"
    )


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


def _shown(info: TensorInfo) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in info.shape)
    return f"{info.name} ({sides}) {info.dtype}"


def _target_probabilities(logits: Array) -> NDArray[np.float32]:
    """``(N, 3, h, w)`` -> ``(N, h, w)``."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers[:, _TARGET] / powers.sum(axis=1), np.float32)


def _rois(boxes: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Boxes on the first image as ``(N, 5)`` rois."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    return np.concatenate([np.zeros((len(corners), 1), np.float32), corners], axis=1)
