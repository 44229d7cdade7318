"""Models of others, as an adapter describes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import Outputs, Region
from human_edge_prediction.description import Adapter, Detections, PersonMap
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.images.read import Image
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.models.checks import check_image_input, check_outputs
from human_edge_prediction.models.model import Model, ModelOutput
from human_edge_prediction.resampling import resize
from human_edge_prediction.runtimes import Runtime


class ForeignModel(Model):
    """A model of others, as an adapter describes it."""

    def __init__(self, path: Path, runtime: Runtime, adapter: Adapter) -> None:
        """A model whose input and names of outputs are checked against the description; their values are, when it runs.

        Raises:
            AdapterError: The model takes another input than is described, or has no such output.
        """
        super().__init__(path, runtime, adapter.input)
        if len(runtime.inputs) != 1:
            raise AdapterError(
                f"{path} has {len(runtime.inputs)} inputs; a model of kind {adapter.kind!r} takes an image and no more "
                "(one that takes boxes too is of kind 'prompted')"
            )
        check_image_input(path, runtime, adapter.input)
        check_outputs(path, runtime, adapter.output.outputs)
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
        if not isinstance(self._output, Detections) or self._output.masks is None:
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
