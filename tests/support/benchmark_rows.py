"""Rows of a benchmark that nobody measured."""

from dataclasses import replace
from typing import Any

from human_edge_detection.benchmarking.records import Row

_ROW = Row(
    model="a",
    file="onnx",
    weights="trained",
    kind="instances",
    image_height=96,
    image_width=128,
    rois=1,
    threads=1,
    provider="CPU",
    median_ms=12.5,
    p95_ms=14.0,
    cpu_ms=12.0,
    ratio=1.0,
    memory_mib=30.0,
    file_mib=22.9,
)


def row(model: str, **changes: Any) -> Row:
    """A row of ``model``."""
    return replace(_ROW, model=model, **changes)
