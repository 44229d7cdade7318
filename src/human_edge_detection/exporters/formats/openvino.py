"""OpenVINO's own format, for Intel's processors, graphics and NPUs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.formats.portable import write_portable
from human_edge_detection.exporters.parity import Inputs


class OpenVino(ConvertedFormat):
    """``best_model.xml`` and ``best_model.bin``, from the portable graph, in float32."""

    name: ClassVar[FormatName] = "openvino"
    capabilities = Capabilities(any_images=False, any_rois=False, finds_persons=False, metadata_inside=False)
    suffix = ".xml"

    def check_packages(self) -> None:
        """As of :class:`ConvertedFormat`."""
        if importlib.util.find_spec("openvino") is None:
            raise ConfigError(
                "--format openvino: openvino is not installed; uv sync --inexact --extra openvino, or "
                "pip install openvino"
            )

    def convert(
        self, student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
    ) -> Mapping[str, str]:
        """As of :class:`ConvertedFormat`."""
        import openvino

        graph = target.with_suffix(".onnx")
        said = write_portable(student, cases, metadata, graph)
        try:
            # Not openvino.convert_model, which may report to its makers that it was called.
            openvino.save_model(openvino.Core().read_model(graph), target, compress_to_fp16=False)
        except RuntimeError as error:
            raise ExportError(f"--format openvino: {' '.join(str(error).split())}") from error
        return said

    @property
    def runtime(self) -> str:
        """As of :class:`ConvertedFormat`."""
        return f"openvino {version('openvino')}"
