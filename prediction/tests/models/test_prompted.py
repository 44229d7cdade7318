"""A model whose masks are the boxes that it is told, so that each step between a box and its mask is seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from human_edge_prediction import AdapterError, Predictor, open_model

SIZE = 32
IMAGE = np.zeros((40, 80, 3), np.uint8)
BOXES = np.array([[0, 0, 40, 20], [20, 10, 80, 40], [8, 4, 16, 12]], np.float32)
Sides = Sequence[int | str]


def save(path: Path, nodes: Sequence[Any], inputs: Mapping[str, Sides], outputs: Mapping[str, Sides]) -> Path:
    taken, given = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in infos.items()]
        for infos in (inputs, outputs)
    )
    constants = {"rows": np.arange(SIZE)[:, None] + 0.5, "columns": np.arange(SIZE) + 0.5, "ones": [1.0, 0.0]}
    constants["width"] = np.array(SIZE)
    values = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    numbers = [
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in {"corners": [-1, 4, 1, 1], "axis": [1]}.items()
    ]
    graph = helper.make_graph(list(nodes), "prompted", taken, given, [*values, *numbers])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def rectangles(boxes: str) -> list[Any]:
    """Nodes that make a mask ``(N, 1, h, w)`` of 1 inside each box, x1, y1, x2, y2 in pixels."""
    node = helper.make_node
    return [
        node("Reshape", [boxes, "corners"], ["numbers"]),
        node("Split", ["numbers"], ["x1", "y1", "x2", "y2"], axis=1, num_outputs=4),
        *(node("GreaterOrEqual", [grid, low], [f"from_{low}"]) for grid, low in (("columns", "x1"), ("rows", "y1"))),
        *(node("LessOrEqual", [grid, high], [f"to_{high}"]) for grid, high in (("columns", "x2"), ("rows", "y2"))),
        node("And", ["from_x1", "to_x2"], ["across"]),
        node("And", ["from_y1", "to_y2"], ["down"]),
        node("And", ["across", "down"], ["inside"]),
        node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
    ]


def boxes_model(path: Path, *, boxes: Sides = ("N", 4)) -> Path:
    """``images, boxes -> masks (N, 1, h, w)``."""
    used = [
        helper.make_node("ReduceMean", ["images"], ["light"]),
        helper.make_node("Add", ["mask", "light"], ["masks"]),
    ]
    nodes = [*rectangles("boxes"), *used]
    return save(path, nodes, {"images": (1, 3, SIZE, SIZE), "boxes": boxes}, {"masks": ("N", 1, SIZE, SIZE)})


def adapter(**prompt: Any) -> dict[str, Any]:
    return {"kind": "prompted", "prompt": {"boxes": "boxes", **prompt}, "output": {"masks": "masks"}}


def check_masks(model: Any) -> None:
    """Each mask is its box, whatever the image's shape and the way there."""
    prediction = Predictor(model)(IMAGE, BOXES)
    for (x1, y1, x2, y2), mask in zip(BOXES.astype(int), prediction.masks, strict=True):
        inner = mask[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
        assert inner.all()
        assert mask.sum() <= (x2 - x1) * (y2 - y1)
    assert prediction.boxes_from == "given"


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("boxes", [("N", 4), (1, "N", 4), (2, 4), (1, 1, 4)])
def test_each_box_gets_its_mask(tmp_path: Path, boxes: Sides, fit: str) -> None:
    description = {**adapter(), "input": {"fit": fit, "pad": 0}}
    check_masks(open_model(boxes_model(tmp_path / "model.onnx", boxes=boxes), adapter=description))


def sam_like(folder: Path) -> Path:
    """Two files, corner points with labels, two proposals of which the first is better, and an unused input."""
    node = helper.make_node
    encoder = [node("ReduceMean", ["images"], ["embedding"], keepdims=0)]
    save(folder / "encoder.onnx", encoder, {"images": (1, 3, SIZE, SIZE)}, {"embedding": ()})
    nodes = [
        *rectangles("points"),
        node("Add", ["mask", "embedding"], ["lit"]),
        node("ReduceMax", ["labels"], ["label"], keepdims=0),  # 3: the labels are as they should be
        node("Mul", ["lit", "label"], ["right"]),
        node("Mul", ["right", "light"], ["scaled"]),
        node("Sub", ["width", "width"], ["nothing"]),
        node("Mul", ["scaled", "nothing"], ["wrong"]),
        node("Concat", ["scaled", "wrong"], ["masks"], axis=1),
        node("Unsqueeze", ["ones", "axis"], ["column"]),
        node("Transpose", ["column"], ["quality"]),
    ]
    inputs = {"embedding": (), "points": (1, 2, 2), "labels": (1, 2), "light": (1,)}
    return save(folder / "decoder.onnx", nodes, inputs, {"masks": (1, 2, SIZE, SIZE), "quality": (1, 2)})


SAM: dict[str, Any] = {
    "kind": "prompted",
    "input": {"size": [SIZE, SIZE], "name": "images", "fit": "letterbox", "pad": 0},
    "prompt": {
        "boxes": "points",
        "labels": "labels",
        "encoder": "encoder.onnx",
        "constants": [{"name": "light", "shape": [1], "value": 0.33}],
    },
    "output": {"masks": "masks", "scores": "quality"},
}


def test_an_encoder_in_a_file_of_its_own_with_points_and_proposals(tmp_path: Path) -> None:
    model = open_model(sam_like(tmp_path), adapter=SAM)
    check_masks(model)
    assert Predictor(model)(IMAGE, BOXES).scores.tolist() == [1, 1, 1]
    assert model.instances(IMAGE, []).masks.shape[0] == 0
    model.prepared(IMAGE, [[0, 0, 1, 1], [0, 0, 0.5, 1]])()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"constants": []},
            r"also takes light \(1\) float32; say what that is: prompt.labels, one of prompt.constants",
        ),
        ({"labels": None}, r"also takes labels"),
        ({"boxes": "boxen"}, "no input 'boxen'"),
        (
            {"labels": "points", "boxes": "labels"},
            r"expected boxes \(N, 2, 2\) or \(1, N, 2, 2\), and",
        ),
        (
            {"constants": [*SAM["prompt"]["constants"], {"name": 0, "shape": [1, 3, SIZE, SIZE]}]},
            "says twice what .* images",
        ),
        ({"constants": [{"name": "light", "shape": [1], "value": one} for one in (0, 1)]}, "says twice what .* light"),
        ({"encoder": None}, "no input 'images'"),
        ({"encoder": "decoder.onnx"}, "none is called alike"),
    ],
)
def test_what_the_description_leaves_out(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        open_model(sam_like(tmp_path), adapter={**SAM, "prompt": {**SAM["prompt"], **change}})


def test_proposals_that_nobody_chooses_from(tmp_path: Path) -> None:
    model = open_model(sam_like(tmp_path), adapter={**SAM, "output": {"masks": "masks"}})
    with pytest.raises(AdapterError, match="2 masks for a box; say which: channel, or scores"):
        model.instances(IMAGE, [[0, 0, 1, 1]])


def test_it_finds_nobody_itself(tmp_path: Path) -> None:
    model = open_model(boxes_model(tmp_path / "model.onnx"), adapter=adapter())
    assert Predictor(model).needs_boxes
    with pytest.raises(AdapterError, match="finds none itself: give boxes, or a detector"):
        Predictor(model)(IMAGE)
    with pytest.raises(AdapterError, match="gives no person map"):
        model.person_map(IMAGE)
