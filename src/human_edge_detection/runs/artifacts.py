"""What was made from a checkpoint, and whether it was made from the one that is there now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import ParityReport, read_section


def checkpoint_sha256(checkpoint: Path) -> str | None:
    """The sha256 of ``checkpoint`` as the summary beside it tells it; None when there is none."""
    try:
        summary: Any = json.loads(checkpoint.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return None
    digest = summary.get("sha256") if isinstance(summary, dict) else None
    return digest if isinstance(digest, str) else None


def is_exported(paths: RunPaths) -> bool:
    """Whether the ONNX file of the best checkpoint is there, and answers as this very checkpoint does."""
    report = read_section(ParityReport, paths.parity)
    return (
        report is not None
        and report.passed
        and paths.onnx.is_file()
        and report.checkpoint_sha256 == checkpoint_sha256(paths.best)
    )
