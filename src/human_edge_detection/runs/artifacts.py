"""What was made from a checkpoint, and whether it was made from the one that is there now."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import CheckpointSummary, ParityReport, read_section


def checkpoint_sha256(checkpoint: Path) -> str | None:
    """The sha256 of ``checkpoint`` as the summary beside it tells it; None when there is none that can be read."""
    try:
        summary = read_section(CheckpointSummary, summary_path(checkpoint))
    except (CheckpointError, OSError):
        return None
    return None if summary is None else summary.sha256


def is_exported(paths: RunPaths) -> bool:
    """Whether the ONNX file of the best checkpoint is there, and answers as this very checkpoint does."""
    report = read_section(ParityReport, paths.parity)
    return (
        report is not None
        and report.passed
        and paths.onnx.is_file()
        and report.checkpoint_sha256 == checkpoint_sha256(paths.best)
    )
