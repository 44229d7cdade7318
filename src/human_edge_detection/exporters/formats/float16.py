"""ONNX with its weights in float16: half the size, and the arithmetic of float32.

Arithmetic in float16 was tried (``onnxruntime.transformers.float16``) and left probabilities further from PyTorch's
than is allowed; a runtime that is quicker in it converts by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import to_onnx
from human_edge_detection.exporters.parity import FLOAT16, Inputs

_LEAST_NUMBERS: Final = 4096
"""Of a weight that is worth it: small ones, of first layers and depthwise, take little room and cost most accuracy."""


class Float16Onnx(ConvertedFormat):
    """``best_model.float16.onnx``."""

    name: ClassVar[FormatName] = "onnx-float16"
    capabilities = Capabilities(any_images=True, any_rois=True, finds_persons=False, metadata_inside=True)
    suffix = ".float16.onnx"
    tolerances = FLOAT16

    def check_packages(self) -> None:
        """All that it needs is always installed."""

    def convert(
        self, student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
    ) -> Mapping[str, str]:
        """As of :class:`ConvertedFormat`."""
        target.write_bytes(with_float16_weights(to_onnx(student, cases[-1], metadata)))
        return metadata

    @property
    def runtime(self) -> str:
        """As of :class:`ConvertedFormat`."""
        return f"onnxruntime {onnxruntime.__version__}"


def with_float16_weights(content: bytes) -> bytes:
    """The model ``content`` with large weights in float16; each is cast to float32, once, when the file is opened."""
    model = onnx.load_from_string(content)
    graph = model.graph
    casts = []
    for weight in list(graph.initializer):
        numbers = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and numbers.size >= _LEAST_NUMBERS:
            half = numpy_helper.from_array(numbers.astype(np.float16), f"{weight.name}_float16")
            casts.append(helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
            graph.initializer.remove(weight)
            graph.initializer.append(half)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    changed: bytes = model.SerializeToString()
    return changed
