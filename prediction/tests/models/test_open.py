import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from human_edge_prediction import AdapterError, ModelFileError, PredictionError, open_model

MakeModel = Callable[..., Path]
ADAPTER = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"values": "probabilities"}}
IMAGE = np.zeros((8, 12, 3), np.uint8)


def test_a_model_of_ours_says_itself_how_it_is_used(constant_model: MakeModel, own_metadata: dict[str, str]) -> None:
    people = np.full((1, 1, 4, 6), 0.25, np.float32)
    logits = np.full((2, 3, 5, 5), -20, np.float32)
    logits[:, 1, :, :2] = 20
    path = constant_model({"masks": logits, "binary_masks": people}, metadata=own_metadata, rois=True)
    model = open_model(path)
    assert (model.kind, model.input.size, model.takes_rois) == ("instances", (4, 6), True)
    assert model.person_map(IMAGE).shape == (8, 12)
    assert model.person_map(IMAGE) == pytest.approx(0.25)
    found = model.instances(IMAGE, boxes=[[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    assert found.scores.tolist() == pytest.approx([0.87, 0.87], abs=0.01)  # of the pixels of the image
    assert (found.masks[:, :, :2] > 0.99).all()
    assert (found.masks[:, :, 2:] < 0.5).all()
    assert (found.frames == found.boxes).all()
    assert len(model.instances(IMAGE, boxes=[]).masks) == 0
    with pytest.raises(AdapterError, match=r"give 'boxes' around them, or open the file .* ends in \.detect\.onnx"):
        model.instances(IMAGE)
    with pytest.raises(AdapterError, match="gives no boxes: it is a model of kind 'instances'"):
        model.boxes(IMAGE)


def test_a_model_of_ours_with_a_detector_finds_persons_itself(
    constant_model: MakeModel, own_metadata: dict[str, str]
) -> None:
    logits = np.full((2, 3, 5, 5), -20, np.float32)
    logits[:, 1, :, :2] = 20
    people = np.full((1, 1, 4, 6), 0.25, np.float32)
    boxes = np.array([[0, 0, 0, 0.5, 1], [0, 0.5, 0, 1, 1]], np.float32)
    outputs = {"boxes": boxes, "scores": np.array([0.9, 0.4], np.float32), "masks": logits, "binary_masks": people}
    model = open_model(constant_model(outputs, metadata=own_metadata))
    assert (model.kind, model.takes_rois) == ("instances", False)
    found = model.instances(IMAGE)
    assert found.boxes.tolist() == found.frames.tolist() == [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.4])
    assert (found.masks[:, :, :2] > 0.99).all()
    assert (found.masks[:, :, 2:] < 0.5).all()
    assert model.boxes(IMAGE).boxes.tolist() == found.boxes.tolist()
    assert model.person_map(IMAGE) == pytest.approx(0.25)
    with pytest.raises(AdapterError, match="finds persons itself: it takes no 'boxes'"):
        model.instances(IMAGE, boxes=[[0, 0, 1, 1]])
    nobody = {name: values[:0] for name, values in outputs.items() if name != "binary_masks"}
    model = open_model(constant_model({**nobody, "binary_masks": people}, metadata=own_metadata))
    assert [len(part) for part in model.instances(IMAGE)] == [0, 0, 0, 0]


def test_an_export_of_a_later_version_is_not_guessed_at(
    constant_model: MakeModel, own_metadata: dict[str, str]
) -> None:
    path = constant_model({"boxes": np.zeros((1, 2, 4), np.float32)}, metadata=own_metadata)
    with pytest.raises(ModelFileError, match="outputs boxes, which this version does not know"):
        open_model(path)


def test_a_detector_finds_persons_itself(constant_model: MakeModel) -> None:
    boxes = np.array([[0, 0, 3, 4], [3, 0, 6, 4]], np.float32)
    masks = np.stack([np.ones((2, 2)), np.full((2, 2), 0.75)]).astype(np.float32)
    path = constant_model({"boxes": boxes, "scores": np.array([0.9, 0.3], np.float32), "masks": masks})
    output = {"boxes": {"name": "boxes"}, "scores": {"name": "scores"}, "masks": {"name": "masks", "covers": "box"}}
    model = open_model(path, adapter={"kind": "instances", "input": {"size": [4, 6]}, "output": output})
    assert model.boxes(IMAGE).boxes.tolist() == [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]
    assert len(model.instances(IMAGE).masks) == 2
    assert model.person_map(IMAGE).tolist() == [[1.0] * 6 + [0.0] * 6] * 8  # of those that score one half
    with pytest.raises(AdapterError, match="takes no 'boxes'"):
        model.instances(IMAGE, boxes=[[0, 0, 1, 1]])


def test_a_person_map_of_others(constant_model: MakeModel) -> None:
    model = open_model(constant_model({"people": np.full((1, 1, 2, 2), 0.75, np.float32)}), adapter=ADAPTER)
    assert model.person_map(IMAGE) == pytest.approx(0.75)
    with pytest.raises(AdapterError, match="gives no masks of persons"):
        model.instances(IMAGE)


def input_of(**changes: Any) -> dict[str, Any]:
    return {**ADAPTER, "input": {"size": [4, 6], **changes}}


def output_of(**changes: Any) -> dict[str, Any]:
    return {**ADAPTER, "output": {"values": "probabilities", **changes}}


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            None,
            r"with kind=person_map\|instances.* output.values=... \(hed predict: .*\(inputs images \(1, 3",
        ),
        (input_of(size=[4, 7]), r"its input is images \(1, 3, 4, 6\) float32, and the adapter says \[1, 3, 4, 7\]"),
        (input_of(layout="NHWC"), "change size, layout or dtype"),
        (input_of(dtype="uint8", scale=1), "change size, layout or dtype"),
        (input_of(name="picture"), "no input 'picture'; it has 'images'"),
        (output_of(name="peple"), "has no output 'peple'; it has 'people', or positions from 0"),
        (output_of(name=1), "has no output 1; it has 'people'"),
    ],
)
def test_an_adapter_that_does_not_fit_the_model(
    constant_model: MakeModel, adapter: dict[str, Any] | None, message: str
) -> None:
    path = constant_model({"people": np.zeros((1, 1, 2, 2), np.float32)})
    with pytest.raises(AdapterError, match=message):
        open_model(path, adapter=adapter)


def test_a_free_size_takes_the_size_of_the_adapter(constant_model: MakeModel) -> None:
    path = constant_model({"people": np.zeros((1, 1, 2, 2), np.float32)}, shape=("N", 3, "H", "W"))
    model = open_model(path, adapter=input_of(size=[32, 64]))
    assert model.input.size == (32, 64)
    assert model.person_map(IMAGE).shape == IMAGE.shape[:2]
    with pytest.raises(AdapterError, match=r"with kind=.* input\.size=\[HEIGHT,WIDTH\]"):
        open_model(path)
    with pytest.raises(AdapterError, match="adapter input: size is missing"):
        open_model(path, adapter={"kind": "person_map", "output": {"values": "probabilities"}})


def test_what_the_file_says_of_its_input_need_not_be_described(constant_model: MakeModel) -> None:
    path = constant_model({"people": np.full((1, 2, 2, 1), 0.75, np.float32)}, shape=(1, 4, 6, 3))
    model = open_model(path, adapter={"kind": "person_map", "output": {"values": "probabilities"}})
    assert (model.input.size, model.input.layout) == ((4, 6), "NHWC")
    assert model.person_map(IMAGE) == pytest.approx(0.75)


def test_an_export_of_ours_that_lost_its_metadata_is_asked_for(constant_model: MakeModel) -> None:
    own = {"binary_masks": np.full((1, 1, 4, 6), 0.75, np.float32)}
    found = {"boxes": np.zeros((0, 5), np.float32), "scores": np.zeros(0, np.float32)}
    masks = {"masks": np.zeros((0, 3, 4, 4), np.float32)}
    path = constant_model(own)
    with pytest.raises(AdapterError, match=r"lost the metadata.*give --adapter kind=exported \(inputs"):
        open_model(path)
    assert open_model(path, adapter={"kind": "exported"}).person_map(IMAGE) == pytest.approx(0.75)
    with pytest.raises(AdapterError, match="unknown field 'min_score'"):
        open_model(path, adapter={"kind": "exported", "min_score": 0.3})
    path = constant_model({**found, **masks, **own})
    with pytest.raises(AdapterError, match="kind=exported and min_score=X"):
        open_model(path)
    with pytest.raises(AdapterError, match="min_score is missing"):
        open_model(path, adapter={"kind": "exported"})
    assert open_model(path, adapter={"kind": "exported", "min_score": 0.3}).built_in_min_score == 0.3


def test_files_that_are_no_models(constant_model: MakeModel, tmp_path: Path) -> None:
    good = constant_model({"people": np.zeros((1, 1, 2, 2), np.float32)})
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(good.read_bytes()[:-20])
    (tmp_path / "model.pt").touch()
    for path, message in [
        (broken, "ONNX Runtime cannot open it"),
        (tmp_path / "gone.onnx", "no such file"),
        (tmp_path, "is not a file"),
        (tmp_path / "model.pt", "expected a file that ends in .onnx, .tflite or .xml"),
    ]:
        with pytest.raises(ModelFileError, match=message):
            open_model(path, adapter=ADAPTER)
    with pytest.raises(PredictionError, match="provider 'GPU' is not part of this ONNX Runtime"):
        open_model(good, adapter=ADAPTER, provider="GPU")


def test_it_imports_no_torch_and_nothing_of_the_full_package() -> None:
    code = """
import sys
import human_edge_prediction
from human_edge_prediction.runtimes import CPU, open_runtime
import onnxruntime
print(*{name.partition(".")[0] for name in sys.modules}, sep="\\n")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "human_edge_detection", "onnx", "pydantic"} & {*ended.stdout.split()}
    quick = subprocess.run(
        [sys.executable, "-c", "import sys, human_edge_prediction; sys.exit('onnxruntime' in sys.modules)"], check=False
    )
    assert quick.returncode == 0
