"""Models of others that make masks in the boxes that they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction import adapter as adapting
from human_edge_prediction.adapter import WHOLE, Array
from human_edge_prediction.description import Adapter, PromptedMasks
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.images.read import Image
from human_edge_prediction.instances import Instances
from human_edge_prediction.models.chain import Chain
from human_edge_prediction.models.checks import check_image_input, check_outputs, input_of, shown
from human_edge_prediction.models.model import Model, ModelOutput
from human_edge_prediction.runtimes import Runtime

_CORNERS: Final = np.array([2, 3])
"""Labels of the first and the second corner of a box, as SAM has them (arXiv:2304.02643)."""
_WHOLE_IMAGE: Final = np.array([WHOLE], np.float32)
_Found = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Masks of some boxes, and their scores if the model gives any."""


class PromptedModel(Model):
    """A model that takes an image and boxes, and gives a mask for each box: SAM and its kind."""

    kind = "prompted"

    def __init__(self, path: Path, runtime: Runtime, adapter: Adapter) -> None:
        """A model whose inputs and names of outputs are checked against the description.

        Raises:
            AdapterError: They differ.
        """
        assert adapter.prompt is not None
        assert isinstance(adapter.output, PromptedMasks)
        super().__init__(path, runtime, adapter.input)
        self._prompt, self._output = adapter.prompt, adapter.output
        check_image_input(path, runtime, adapter.input)
        check_outputs(path, runtime, adapter.output.outputs)
        self._boxes = input_of(runtime, self._prompt.boxes)
        self._labels = None if self._prompt.labels is None else input_of(runtime, self._prompt.labels)
        self._constants: dict[str, Array] = {}
        for one in self._prompt.constants:
            info = input_of(runtime, one.name)
            self._constants[info.name] = np.full(one.shape, one.value, np.dtype(info.dtype))
        self._check_inputs()
        # Axes in front of the numbers of a box: the boxes, and perhaps a batch of one before them.
        self._lead = self._boxes.shape[: len(self._boxes.shape) - (1 if self._labels is None else 2)]
        if len(self._lead) not in (1, 2):
            wanted = "(N, 4) or (1, N, 4)" if self._labels is None else "(N, 2, 2) or (1, N, 2, 2)"
            raise AdapterError(f"{path}: expected boxes {wanted}, and the input is {shown(self._boxes)}")

    def _check_inputs(self) -> None:
        """Refuses a model with an input that the description does not speak of, or speaks of twice."""
        labels = () if self._labels is None else (self._labels.name,)
        constants = [input_of(self.runtime, one.name).name for one in self._prompt.constants]
        known = [self._image_name, self._boxes.name, *labels, *constants]
        twice = next((name for name in known if known.count(name) > 1), None)
        if twice is not None:
            raise AdapterError(
                f"{self.path}: the adapter says twice what its input {twice} is: image, prompt.boxes, prompt.labels "
                "and each of prompt.constants are inputs of their own"
            )
        for info in self.runtime.inputs:
            if info.name not in known:
                raise AdapterError(
                    f"{self.path} also takes {shown(info)}; say what that is: prompt.labels, one of prompt.constants, "
                    "or what prompt.encoder gives"
                )

    @property
    def takes_rois(self) -> bool:
        """As of :class:`Model`: it is asked about boxes, and about nothing else."""
        return True

    def predict(self, image: Image, boxes: NDArray[np.float32] | None = None, *, max_rois: int = 64) -> ModelOutput:
        """As of :class:`Model`."""
        if boxes is None:
            raise AdapterError(f"{self.path} makes masks in boxes and finds none itself: give boxes, or a detector")
        array, region = adapting.to_input(image, self.input)
        told = adapting.prompts(boxes, self._prompt, size=self.input.size, region=region)
        found = self._run_all(array, told, max_rois)
        frames = boxes
        if self._output.covers == "image":
            frames = np.tile(adapting.in_image(_WHOLE_IMAGE, region), (len(boxes), 1))
        return ModelOutput(None, _instances(boxes, frames, found, (image.shape[0], image.shape[1])))

    def prepared(self, image: Image, boxes: Sequence[Sequence[float]] = ()) -> Callable[[], object]:
        """As of :class:`Model`."""
        array, region = adapting.to_input(image, self.input)
        asked = np.asarray(boxes, np.float32).reshape(-1, 4)
        told = adapting.prompts(asked, self._prompt, size=self.input.size, region=region)
        return lambda: self._run_all(array, told, max(1, len(told)))

    def _run_all(self, image: Array, told: Array, max_rois: int) -> list[_Found]:
        """Masks and scores, call by call, for boxes as the model wants them."""
        feeds = {self._image_name: image}
        features = self.runtime.encode(feeds) if isinstance(self.runtime, Chain) else feeds
        room = self._lead[-1]
        step = room or max_rois
        found: list[_Found] = []
        for first in range(0, len(told), step):
            some = told[first : first + step]
            # Where there is room for more, it is asked about the last box again.
            asked = some if room is None else some[np.minimum(np.arange(room), len(some) - 1)]
            outputs = self._named(self.runtime.run({**features, **self._prompts(asked)}))
            masks, scores = adapting.prompted_masks(outputs, self._output, len(asked))
            found.append((masks[: len(some)], None if scores is None else scores[: len(some)]))
        return found

    def instances(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> Instances:
        """As of :class:`Model`; scored by the model, or by the mean probability inside the mask on ``image``."""
        found = self.predict(image, None if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4)).instances
        assert found is not None
        return found

    def _prompts(self, told: Array) -> dict[str, Array]:
        """The inputs beside the image for ``(N, 4)`` boxes or ``(N, 2, 2)`` corners."""
        batched = told if len(self._lead) == 1 else told[None]
        inputs = {self._boxes.name: batched.astype(self._boxes.dtype), **self._constants}
        if self._labels is not None:
            labels = np.broadcast_to(_CORNERS, batched.shape[:-1])
            inputs[self._labels.name] = np.ascontiguousarray(labels, np.dtype(self._labels.dtype))
        return inputs


def _instances(
    boxes: NDArray[np.float32],
    frames: NDArray[np.float32],
    found: Sequence[_Found],
    size: tuple[int, int],
) -> Instances:
    """The persons of all calls; scored by their masks on an image of ``size`` where the model does not score them."""
    if not found:
        return Instances(boxes, np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32), frames)
    masks = np.concatenate([masks for masks, _ in found])
    scores = [scores for _, scores in found if scores is not None]
    if scores:
        return Instances(boxes, np.concatenate(scores), masks, frames)
    return Instances(boxes, np.zeros(len(boxes), np.float32), masks, frames).scored(size)
