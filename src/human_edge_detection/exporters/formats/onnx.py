"""ONNX with any number of images and rois, and a second file that finds the persons."""

from __future__ import annotations

from typing import ClassVar

from human_edge_detection.exporters.formats.format import Capabilities, Request
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import Export, export_checkpoint


class Onnx:
    """``best_model.onnx``, and ``best_model.detect.onnx`` of a model with a detector."""

    name: ClassVar[FormatName] = "onnx"
    capabilities: ClassVar[Capabilities] = Capabilities(
        any_images=True, any_rois=True, finds_persons=True, metadata_inside=True
    )

    def export(self, request: Request) -> Export:
        """As of :class:`~human_edge_detection.exporters.formats.format.Format`."""
        return export_checkpoint(
            request.checkpoint,
            output=request.output,
            data=request.data,
            min_score=request.min_score,
            max_persons=request.max_persons,
            about=request.about,
        )
