"""ONNX files of others that teach: small, and right about the drawn images of the tests, where persons are bright."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE_PX: Final = (48, 64)
PERSON_MAP: Final[dict[str, Any]] = {"kind": "person_map", "output": {"values": "probabilities"}}
"""What has to be said of :func:`bright_persons`."""
_THRESHOLD: Final = 0.52
_STEEPNESS: Final = 40.0


def bright_persons(path: Path) -> Path:
    """Writes a model to ``path`` that takes what is bright for a person: ``people (1, 1, h, w)``, probabilities."""
    height, width = SIZE_PX
    constants = {"threshold": _THRESHOLD, "steepness": _STEEPNESS}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "channels"], ["grey"], keepdims=1),
            helper.make_node("Sub", ["grey", "threshold"], ["above"]),
            helper.make_node("Mul", ["above", "steepness"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["people"]),
        ],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, height, width))],
        [helper.make_tensor_value_info("people", TensorProto.FLOAT, (1, 1, height, width))],
        [
            numpy_helper.from_array(np.array([1], np.int64), "channels"),
            *(numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path
