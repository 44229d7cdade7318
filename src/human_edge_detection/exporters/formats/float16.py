"""ONNX in float16: half the size; quicker where float16 is, as on a GPU, and slower where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import onnx
import onnxruntime
from onnxruntime.transformers.float16 import convert_float_to_float16

from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import to_onnx
from human_edge_detection.exporters.parity import FLOAT16, Inputs


class Float16Onnx(ConvertedFormat):
    """``best_model.float16.onnx``: weights and arithmetic in float16, inputs and outputs in float32."""

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
        model = onnx.load_from_string(to_onnx(student, cases[-1], metadata))
        half = convert_float_to_float16(model, keep_io_types=True, node_block_list=_nodes_of_rois(model.graph))
        target.write_bytes(half.SerializeToString())
        return metadata

    @property
    def runtime(self) -> str:
        """As of :class:`ConvertedFormat`."""
        return f"onnxruntime {onnxruntime.__version__}"


def _nodes_of_rois(graph: onnx.GraphProto) -> list[str]:
    """The nodes between the rois and what crops to them: in float16, pixel 160 is known to an eighth of a pixel."""
    known, found = {"rois"}, []
    for node in graph.node:  # in the order in which they are computed
        if node.op_type != "RoiAlign" and known.intersection(node.input):
            known.update(node.output)
            found.append(node.name)
    return found
