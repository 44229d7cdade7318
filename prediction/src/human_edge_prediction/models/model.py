"""What every open model offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import Array, Outputs
from human_edge_prediction.description import ImageInput, Kind
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.images.read import Image
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.models.checks import input_of
from human_edge_prediction.runtimes import Runtime


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

    def prepared(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> Callable[[], object]:
        """What runs the model on an image that is already prepared, as often as it is called: for measuring its time.

        Args:
            image: ``(H, W, 3)`` RGB.
            boxes: As of :meth:`instances`, for a model that takes rois.
        """
        feeds = {self._image_name: adapting.to_input(image, self.input)[0]}
        return lambda: self.runtime.run(feeds)

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
        return input_of(self.runtime, self.input.name).name

    def _run(self, feeds: Mapping[str, Array]) -> Outputs:
        """The outputs by name and by position."""
        return self._named(self.runtime.run(feeds))

    def _named(self, arrays: Sequence[Array]) -> Outputs:
        return {
            **dict(enumerate(arrays)),
            **{info.name: one for info, one in zip(self.runtime.outputs, arrays, strict=True)},
        }

    def _gives_no(self, what: str) -> AdapterError:
        return AdapterError(f"{self.path} gives no {what}: it is a model of kind {self.kind!r}")
