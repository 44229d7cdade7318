import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from human_edge_detection.exporters.formats.float16 import with_float16_weights


def test_large_weights_take_half_the_room_and_small_ones_stay() -> None:
    rng = np.random.default_rng(0)
    large, small = rng.normal(size=(64, 64)).astype(np.float32), rng.normal(size=(64, 4)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "large"], ["y"]), helper.make_node("MatMul", ["y", "small"], ["z"])]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 64), ("z", 4)))
    weights = [numpy_helper.from_array(large, "large"), numpy_helper.from_array(small, "small")]
    graph = helper.make_graph(nodes, "two", [x], [z], weights)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    changed = with_float16_weights(content)
    assert len(changed) < 0.6 * len(content)
    types = {one.name: one.data_type for one in onnx.load_from_string(changed).graph.initializer}
    assert types == {"large_float16": TensorProto.FLOAT16, "small": TensorProto.FLOAT}
    given = rng.normal(size=(3, 64)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(changed).run(None, {"x": given})
    np.testing.assert_allclose(found, given @ large.astype(np.float16).astype(np.float32) @ small, rtol=1e-4, atol=1e-4)
