"""ONNX files of a few nodes that always give the same outputs, whatever image they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OURS = {"written_by": "human-edge-detection 0.1.0"}
"""What an export of this project says of itself, as far as it is looked at."""


def constant_model(
    path: Path,
    outputs: Mapping[str, NDArray[Any]],
    *,
    shape: Sequence[int | str] = (1, 3, 4, 6),
    metadata: Mapping[str, str] | None = None,
    rois: bool = False,
) -> Path:
    """Writes a model to ``path`` that gives ``outputs``, by name, for ``images`` of ``shape``, and ``rois`` at will."""
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    if rois:
        inputs.append(helper.make_tensor_value_info("rois", TensorProto.FLOAT, ("N", 5)))
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array)))
        for name, array in outputs.items()
    ]
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in outputs.items()
    ]
    graph = helper.make_graph(nodes, "constant", inputs, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path
