"""Static ONNX of few operators: what CoreML, ncnn, WebGPU, LiteRT and NPUs are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import onnx
import onnxruntime
import torch

from human_edge_detection.errors import ExportError
from human_edge_detection.exporters.exportable import ExportableStudent, PortableStudent
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import to_onnx
from human_edge_detection.exporters.parity import Inputs

ROI_SLOTS: Final = 4
"""Rois that a static file takes."""
OPERATORS: Final = frozenset(
    {"Abs", "Add", "Clip", "Concat", "Conv", "Div", "Exp", "Log", "MatMul", "Mul", "Neg", "ReduceMean", "Relu"}
    | {"Reshape", "Resize", "Sigmoid", "Slice", "Split", "Sub", "Transpose", "Unsqueeze"}
)
"""All that a portable graph may consist of."""


class PortableOnnx(ConvertedFormat):
    """``best_model.portable.onnx``: one image, :data:`ROI_SLOTS` rois, :data:`OPERATORS`."""

    name: ClassVar[FormatName] = "onnx-portable"
    capabilities = Capabilities(any_images=False, any_rois=False, finds_persons=False, metadata_inside=True)
    suffix = ".portable.onnx"

    def check_packages(self) -> None:
        """All that it needs is always installed."""

    def convert(
        self, student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
    ) -> Mapping[str, str]:
        """As of :class:`ConvertedFormat`."""
        return write_portable(student, cases, metadata, target)

    @property
    def runtime(self) -> str:
        """As of :class:`ConvertedFormat`."""
        return f"onnxruntime {onnxruntime.__version__}"


def write_portable(
    student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
) -> Mapping[str, str]:
    """Writes the portable graph of ``student`` to ``target``; returns what it says of itself.

    Raises:
        ExportError: The network has an operator that is none of :data:`OPERATORS`.
    """
    example = {"images": cases[-1]["images"][:1]}
    if student.has_rois:
        example["rois"] = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]]).repeat(ROI_SLOTS, 1)
    said = static_metadata(metadata)
    content = to_onnx(PortableStudent(student.model).eval(), example, said, static=True)
    others = {node.op_type for node in onnx.load_from_string(content).graph.node} - OPERATORS
    if others:
        raise ExportError(
            f"no portable graph: the network has operators that not every runtime takes ({', '.join(sorted(others))}); "
            "take --format onnx, or another encoder"
        )
    target.write_bytes(content)
    return said


def static_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """``metadata`` of a file that takes one image and :data:`ROI_SLOTS` rois."""
    fixed = dict(metadata)
    for name in ("images", "rois", "masks", "binary_masks"):
        if name in fixed:
            fixed[name] = fixed[name].replace("(B, ", "(1, ").replace("(N, ", f"({ROI_SLOTS}, ")
    if "rois" in fixed:
        fixed["rois"] += "; no less: those that are not used are the whole image, and the index is always 0"
        fixed["roi_slots"] = str(ROI_SLOTS)
    return fixed
