"""What is quantised lies between convolutions."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from small_exports import small_export

from human_edge_detection.exporters.quantization.layers import blocks_of, has_gates, is_quantized


def graph_of(path: Path) -> onnx.GraphProto:
    return onnx.load(path).graph


def test_boxes_and_probabilities_keep_all_their_digits(tmp_path: Path) -> None:
    graph = graph_of(small_export(tmp_path / "gated.onnx", gated=True))
    (block,) = blocks_of(graph)
    assert block.convolutions == ("first", "second", "person", "masks")
    assert set(block.nodes) == {*block.convolutions, "relu1", "gate", "silu", "relu2"}, "not boxes, not probability"


@pytest.mark.parametrize("gated", [True, False])
def test_a_sigmoid_at_the_end_is_no_gate(tmp_path: Path, *, gated: bool) -> None:
    assert has_gates(graph_of(small_export(tmp_path / "model.onnx", gated=gated))) is gated


def test_a_block_has_four_convolutions() -> None:
    nodes = [helper.make_node("Conv", [f"x{n}", "w"], [f"x{n + 1}"], f"conv{n}") for n in range(9)]
    graph = helper.make_graph(nodes, "row", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, None)], [])
    assert [block.nodes for block in blocks_of(graph)] == [
        ("conv0", "conv1", "conv2", "conv3"),
        ("conv4", "conv5", "conv6", "conv7"),
        ("conv8",),
    ]
    assert not is_quantized(graph)
    graph.node.append(helper.make_node("QuantizeLinear", ["x9", "s", "z"], ["q"], "q"))
    assert is_quantized(graph)
