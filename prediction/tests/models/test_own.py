"""Static files of ours, and such with the channels on the last axis."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from human_edge_prediction import ModelFileError, Predictor
from human_edge_prediction.models.own import OwnModel
from human_edge_prediction.runtimes import TensorInfo


class StaticRuntime:
    """One image of 4 x 6 pixels and two rois; a mask is its roi's x1, the person map the image's red."""

    provider = "none"

    def __init__(self, *, channels_last: bool, images: int = 1, said: Mapping[str, str] | None = None) -> None:
        self.metadata: Mapping[str, str] = {"written_by": "human-edge-detection 0.1.0", **(said or {})}
        shapes = {"images": (images, 3, 4, 6), "rois": (2, 5), "masks": (2, 3, 8, 5), "binary_masks": (images, 1, 4, 6)}
        self.last = channels_last
        if channels_last:
            shapes |= {"images": (images, 4, 6, 3), "binary_masks": (images, 4, 6, 1)}
        infos = [TensorInfo(name, shape, "float32") for name, shape in shapes.items()]
        self.inputs, self.outputs = tuple(infos[:2]), tuple(infos[2:])

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        for info in self.inputs:
            assert feeds[info.name].shape == info.shape
        masks = feeds["rois"][:, 1, None, None, None] + np.zeros((1, 3, 8, 5), np.float32)
        return [masks, feeds["images"][..., :1] if self.last else feeds["images"][:, :1]]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("said", [{}, {"channels_last": '["images", "masks"]'}])
def test_a_static_file_is_used_as_any_other(channels_last: bool, said: dict[str, str]) -> None:
    """Where its channels are, its shapes tell: also of a file whose metadata are lost or edited."""
    model = OwnModel(Path("m.tflite"), StaticRuntime(channels_last=channels_last, said=said))
    assert (model.input.size, model.mask_size, model.roi_slots) == ((4, 6), (8, 5), 2)
    images = np.random.default_rng(0).random((3, 3, 4, 6), np.float32)
    rois = np.array([[2, 0.5, 0, 1, 1], [0, 0.25, 0, 1, 1], [2, 0.125, 0, 1, 1], [2, 0, 0, 1, 1]], np.float32)
    outputs = model.run(images, rois)
    np.testing.assert_array_equal(outputs["binary_masks"], images[:, :1])
    assert outputs["masks"][:, 0, 0, 0].tolist() == [0.5, 0.25, 0.125, 0]
    prediction = Predictor(model)(np.zeros((8, 12, 3), np.uint8), boxes=[[1, 1, 5, 6]] * 5)
    assert len(prediction) == 5
    model.prepared(np.zeros((8, 12, 3), np.uint8), [(0, 0, 1, 1)] * 3)()


def test_a_file_of_several_images_and_no_other_number_is_not_known() -> None:
    with pytest.raises(ModelFileError, match="which this version does not know"):
        OwnModel(Path("m.onnx"), StaticRuntime(channels_last=False, images=2))


@pytest.mark.parametrize("score", ["", "high", "nan", "-0.1", "1.5"])
def test_a_score_that_is_none_is_one_line(score: str) -> None:
    with pytest.raises(ModelFileError, match=rf"m\.onnx: its metadata say min_score '{score}', expected 0 to 1"):
        OwnModel(Path("m.onnx"), StaticRuntime(channels_last=False, said={"min_score": score}))
