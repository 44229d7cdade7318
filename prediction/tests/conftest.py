"""Model files of a few nodes, made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MakeModel = Callable[..., Path]


@pytest.fixture
def constant_model(tmp_path: Path) -> MakeModel:
    """``constant_model({"name": array})``: a model that always gives these arrays, whatever image it is given."""

    def make(
        outputs: Mapping[str, NDArray[np.generic]],
        *,
        shape: Sequence[int | str] = (1, 3, 4, 6),
        dtype: int = TensorProto.FLOAT,
        metadata: Mapping[str, str] | None = None,
        rois: bool = False,
    ) -> Path:
        inputs = [helper.make_tensor_value_info("images", dtype, shape)]
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
        model = helper.make_model(
            helper.make_graph(nodes, "constant", inputs, results), opset_imports=[helper.make_opsetid("", 18)]
        )
        model.ir_version = 10
        helper.set_model_props(model, dict(metadata or {}))
        path = tmp_path / "model.onnx"
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture
def own_metadata() -> dict[str, str]:
    """What an export of human-edge-detection says of itself, as far as it is looked at."""
    return {"written_by": "human-edge-detection 0.1.0", "image_size": json.dumps([4, 6])}
