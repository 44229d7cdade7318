"""A child of a batch that measures how long its exported models take; ``runner/latency.py`` is the other side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.log import setup_logging
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.signals import end_at_once


def measure(folders: Sequence[str]) -> int:
    """Measures the exports of the runs in ``folders`` and returns 0; Ctrl-C ends it without a word."""
    end_at_once()
    setup_logging()
    from human_edge_detection.benchmarking.exports import measure_exports

    measure_exports([RunPaths(Path(folder)) for folder in folders])
    return 0
