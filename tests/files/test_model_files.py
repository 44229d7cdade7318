"""What tells a model file from any other: the weights beside it count, where there are any."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from human_edge_detection.files.model_files import model_sha256


def graph_with_weights(path: Path, value: float, *, beside: bool) -> Path:
    """An ONNX file that adds a constant, which lies in it or in ``weights.data`` beside it."""
    shape = (1, 3)
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "constant"], ["sum"])],
        "sum",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.full(shape, value, np.float32), "constant")],
    )
    model = helper.make_model(graph)
    (path.parent / "weights.data").unlink(missing_ok=True)
    onnx.save_model(model, str(path), save_as_external_data=beside, location="weights.data", size_threshold=0)
    return path


def test_without_weights_beside_it_is_the_hash_of_the_file(tmp_path: Path) -> None:
    path = graph_with_weights(tmp_path / "model.onnx", 1.0, beside=False)
    assert model_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model_sha256(tmp_path / "missing.onnx") is None


def test_external_data_of_onnx_count(tmp_path: Path) -> None:
    path = graph_with_weights(tmp_path / "model.onnx", 1.0, beside=True)
    graph, before = path.read_bytes(), model_sha256(path)
    graph_with_weights(path, 2.0, beside=True)
    assert path.read_bytes() == graph
    assert model_sha256(path) != before
    graph_with_weights(path, 1.0, beside=True)
    assert model_sha256(path) == before


def test_weights_of_openvino_count(tmp_path: Path) -> None:
    path, weights = tmp_path / "model.xml", tmp_path / "model.bin"
    path.write_text("<net/>", encoding="utf-8")
    found = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        found.append(model_sha256(path))
    weights.unlink()
    assert len({*found, model_sha256(path)}) == 3


@pytest.mark.parametrize("content", [b"", b"no graph" * 9])
def test_what_is_no_graph_is_a_file_like_any_other(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert model_sha256(path) == hashlib.sha256(content).hexdigest()
