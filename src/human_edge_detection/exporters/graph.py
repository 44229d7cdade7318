"""Rewrites a traced ONNX graph: faster kernels for the same outputs, and an input that becomes a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

_MIN_CHANNELS = 16
"""Channels of a block in ONNX Runtime's blocked memory layout; with fewer, most of the layout is padding."""


def resize_by_factors(model: onnx.ModelProto) -> None:
    """Replaces the target size of each ``Resize`` by constant scale factors, in place, where they are whole numbers.

    A traced ``Resize`` has a target size that includes the batch size, which is computed from the input. ONNX Runtime
    then cannot know that the channels stay as they are, and leaves its blocked memory layout for this operation and the
    ones around it. Nodes with few channels are left as they are.

    Args:
        model: A traced model; shapes are inferred here.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    for node in model.graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            factors = _factors(shapes.get(node.input[0], []), shapes.get(node.output[0], []))
            if factors:
                scales = numpy_helper.from_array(np.array([1, 1, *factors], np.float32), f"{node.output[0]}_factors")
                model.graph.initializer.append(scales)
                node.input[2:] = [scales.name]


def with_constant(content: bytes, name: str, value: float) -> bytes:
    """The model ``content`` with its scalar float32 input ``name`` replaced by a constant of that name."""
    model = onnx.load_from_string(content)
    (given,) = (entry for entry in model.graph.input if entry.name == name)
    model.graph.input.remove(given)
    model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    onnx.checker.check_model(model, full_check=True)
    changed: bytes = model.SerializeToString()
    return changed


def _factors(small: Sequence[int], large: Sequence[int]) -> list[int]:
    """The scale factors of height and width, or an empty list.

    Args:
        small: Shape of the input ``(N, C, H, W)``; 0 for a dynamic size.
        large: Shape of the output.

    Returns:
        Two factors when both are whole numbers, sizes are known and there are channels enough.
    """
    if len(small) != 4 or len(large) != 4 or small[1] < _MIN_CHANNELS:
        return []
    sizes = list(zip(small[2:], large[2:], strict=True))
    are_whole = all(before and after and after % before == 0 for before, after in sizes)
    return [after // before for before, after in sizes] if are_whole else []
