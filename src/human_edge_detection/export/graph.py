"""Changes of the traced graph that let runtimes choose quicker kernels; the answers stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

_LEAST_CHANNELS = 16


def resize_by_factors(model: onnx.ModelProto) -> None:
    """Lets each ``Resize`` to a fixed multiple of its input's size say so, in place.

    Tracing writes the wanted size, with the number of images read from the input. ONNX Runtime then cannot know that
    channels stay as they are, and leaves its blocked memory layout for the operation and the ones around it. Few
    channels are let be: there the layout, of sixteen at a time, is mostly filling.
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


def _factors(small: Sequence[int], large: Sequence[int]) -> list[int]:
    """Of height and width, if both are whole; sizes are ``(N, C, H, W)``, 0 where they are not fixed."""
    if len(small) != 4 or len(large) != 4 or small[1] < _LEAST_CHANNELS:
        return []
    sizes = list(zip(small[2:], large[2:], strict=True))
    whole = all(before and after and after % before == 0 for before, after in sizes)
    return [after // before for before, after in sizes] if whole else []
