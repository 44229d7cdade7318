"""Quicker kernels for an exported graph: the same answers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from human_edge_detection.exporters.graph import resize_by_factors, with_constant


def resizing(channels: int, height: int, width: int) -> onnx.ModelProto:
    """Enlarges ``(N, channels, 6, 4)`` to a size, as tracing has it: with N read from the input."""
    nodes = [
        helper.make_node("Shape", ["small"], ["count_and_channels"], start=0, end=2),
        helper.make_node("Concat", ["count_and_channels", "size"], ["sizes"], axis=0),
        helper.make_node("Resize", ["small", "", "", "sizes"], ["large"], mode="linear"),
        helper.make_node("Relu", ["large"], ["answer"]),
    ]
    values = {"small": (6, 4), "large": (height, width), "answer": (height, width)}
    small, large, prediction = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, *size]) for name, size in values.items()
    )
    size = numpy_helper.from_array(np.array([height, width], np.int64), "size")
    graph = helper.make_graph(nodes, "resizing", [small], [prediction], [size], value_info=[small, large])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_sizes_that_nobody_knows_are_let_be() -> None:
    model = resizing(16, 12, 8)
    nodes = [node for node in model.graph.node if node.op_type != "Relu"]
    nodes[-1].output[0] = "answer"
    sizes = helper.make_tensor_value_info("size", TensorProto.INT64, [2])
    small = helper.make_tensor_value_info("small", TensorProto.FLOAT, ["N", 16, 6, 4])
    prediction = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    open_model = helper.make_model(
        helper.make_graph(nodes, "open", [small, sizes], [prediction]), opset_imports=model.opset_import, ir_version=10
    )
    resize_by_factors(open_model)
    assert factors(open_model) is None


def prediction(model: onnx.ModelProto, channels: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (prediction,) = session.run(None, {"small": np.random.default_rng(0).random((3, channels, 6, 4), np.float32)})
    assert isinstance(prediction, np.ndarray)
    return prediction


def factors(model: onnx.ModelProto) -> list[float] | None:
    (resize,) = (node for node in model.graph.node if node.op_type == "Resize")
    if len(resize.input) == 4:
        return None
    (scales,) = (one for one in model.graph.initializer if one.name == resize.input[2])
    return [float(scale) for scale in numpy_helper.to_array(scales)]


@pytest.mark.parametrize(
    ("channels", "height", "width", "expected"),
    [
        (16, 12, 12, [1, 1, 2, 3]),
        (16, 15, 8, None),
        (16, 3, 4, None),
        (5, 12, 8, None),
    ],
    ids=["whole multiples", "a fraction", "smaller", "few channels"],
)
def test_factors_where_they_are_whole_and_the_same_answer(
    channels: int, height: int, width: int, expected: list[float] | None
) -> None:
    model = resizing(channels, height, width)
    before = prediction(model, channels)
    resize_by_factors(model)
    assert factors(model) == expected
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(prediction(model, channels), before, atol=1e-6)


def test_an_input_becomes_a_constant() -> None:
    values, threshold, above = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("values", TensorProto.FLOAT, ["N"]),
            ("threshold", TensorProto.FLOAT, []),
            ("above", TensorProto.BOOL, ["N"]),
        )
    )
    node = helper.make_node("Greater", ["values", "threshold"], ["above"])
    model = helper.make_model(
        helper.make_graph([node], "above", [values, threshold], [above]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(with_constant(model.SerializeToString(), "threshold", 0.3))
    assert [entry.name for entry in session.get_inputs()] == ["values"]
    assert session.run(None, {"values": np.array([0.2, 0.4], np.float32)})[0].tolist() == [False, True]
