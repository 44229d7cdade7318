"""An exported model of four convolutions with random weights, made without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
MASK_SIZE = (32, 24)
SAID = {
    "written_by": "human-edge-detection 0.1.0",
    "experiment": "tiny",
    "epoch": "2",
    "checkpoint_sha256": "c" * 64,
    "metrics": json.dumps({"miou": 0.5}),
    "metrics_of": "the validation split",
}


def small_export(path: Path, *, gated: bool = False, metadata: dict[str, str] | None = None) -> Path:
    """Writes a model to ``path`` that takes ``images`` and ``rois`` as an export of this project does.

    Boxes are multiplied before the features of a roi are taken, and probabilities are made at the end: neither may be
    quantised. With ``gated`` there is a SiLU between two of the convolutions.
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.4, (8, 3, 3, 3)),
        "w2": rng.normal(0, 0.2, (8, 8, 3, 3)),
        "w3": rng.normal(0, 0.2, (1, 8, 3, 3)),
        "w4": rng.normal(0, 0.2, (3, 8, 3, 3)),
        "side": np.array(SIDE),
    }
    indices = {"0": [0], "1": [1], "5": [5], "one": [1]}
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in indices.items()]

    def convolution(name: str, source: str, weight: str, output: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [source, weight], [output], name, pads=[1, 1, 1, 1])

    gate = [
        helper.make_node("Sigmoid", ["relu1"], ["gate"], "gate"),
        helper.make_node("Mul", ["relu1", "gate"], ["silu"], "silu"),
    ]
    nodes = [
        helper.make_node("Slice", ["rois", "1", "5", "one"], ["corners"], "corners"),
        helper.make_node("Mul", ["corners", "side"], ["boxes"], "boxes"),
        helper.make_node("Slice", ["rois", "0", "1", "one"], ["column"], "column"),
        helper.make_node("Squeeze", ["column", "one"], ["owners"], "owners"),
        helper.make_node("Cast", ["owners"], ["numbers"], "numbers", to=TensorProto.INT64),
        convolution("first", "images", "w1", "conv1"),
        helper.make_node("Relu", ["conv1"], ["relu1"], "relu1"),
        *(gate if gated else []),
        convolution("second", "silu" if gated else "relu1", "w2", "conv2"),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        convolution("person", "relu2", "w3", "logit"),
        helper.make_node("Sigmoid", ["logit"], ["binary_masks"], "probability"),
        helper.make_node(
            "RoiAlign",
            ["relu2", "boxes", "numbers"],
            ["aligned"],
            "align",
            output_height=MASK_SIZE[0],
            output_width=MASK_SIZE[1],
            sampling_ratio=1,
        ),
        convolution("masks", "aligned", "w4", "masks"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, ("B", 3, SIDE, SIDE)),
            helper.make_tensor_value_info("rois", TensorProto.FLOAT, ("N", 5)),
        ],
        [
            helper.make_tensor_value_info("masks", TensorProto.FLOAT, ("N", 3, *MASK_SIZE)),
            helper.make_tensor_value_info("binary_masks", TensorProto.FLOAT, ("B", 1, SIDE, SIDE)),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, SAID if metadata is None else metadata)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
