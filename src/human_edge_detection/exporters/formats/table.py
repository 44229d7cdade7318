"""The table of formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from human_edge_detection.exporters.formats.float16 import Float16Onnx
from human_edge_detection.exporters.formats.format import Format
from human_edge_detection.exporters.formats.litert import LiteRt
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.formats.onnx import Onnx
from human_edge_detection.exporters.formats.openvino import OpenVino
from human_edge_detection.exporters.formats.portable import PortableOnnx

FORMATS: Final[Mapping[FormatName, Format]] = {
    one.name: one for one in (Onnx(), Float16Onnx(), PortableOnnx(), OpenVino(), LiteRt())
}
