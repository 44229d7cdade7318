"""What a run made: whether the files are those that were written, and the export that of the best checkpoint now."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import CheckpointSummary, LatencyReport, ParityReport, read_section


def checkpoint_sha256(checkpoint: Path) -> str | None:
    """The sha256 of ``checkpoint`` as the summary beside it tells it; None when there is none that can be read."""
    summary = read_summary(checkpoint)
    return None if summary is None else summary.sha256


def checkpoint_problem(checkpoint: Path, *, hashes: bool = True) -> str | None:
    """Why ``checkpoint`` is not the file that the summary beside it is of; None when it is, or there is no summary.

    Args:
        checkpoint: The file.
        hashes: Also compare the sha256, 0.07 s for 100 MB; else only the size, where that is recorded.
    """
    return problem_against(checkpoint, read_summary(checkpoint), hashes=hashes)


def problem_against(checkpoint: Path, summary: CheckpointSummary | None, *, hashes: bool = True) -> str | None:
    """As :func:`checkpoint_problem`, for who has read ``summary`` already."""
    recorded = (None, None) if summary is None else (summary.size_bytes, summary.sha256)
    return _problem(checkpoint, *recorded, hashes=hashes)


def export_problem(paths: RunPaths, report: ParityReport, *, hashes: bool = True) -> str | None:
    """Why an ONNX file of a run is not the one that ``report``, its parity.json, is of; None when all are.

    Args:
        paths: The run.
        report: Its own.
        hashes: As for :func:`checkpoint_problem`.
    """
    problem = _problem(paths.onnx, report.size_bytes, report.onnx_sha256, hashes=hashes)
    if problem is None and report.detector is not None:
        problem = _problem(paths.detector_onnx, report.detector.size_bytes, report.detector.onnx_sha256, hashes=hashes)
    return problem


def is_exported(paths: RunPaths) -> bool:
    """Whether the ONNX files of the best checkpoint are there, whole, and answer as this very checkpoint does."""
    report = read_section(ParityReport, paths.parity)
    return (
        report is not None
        and report.passed
        and report.checkpoint_sha256 == checkpoint_sha256(paths.best)
        and export_problem(paths, report) is None
    )


def latency_of(paths: RunPaths, parity: ParityReport | None) -> LatencyReport | None:
    """What was measured of the ONNX file that ``parity`` is of; None: nothing, or of another file.

    Args:
        paths: The run.
        parity: Its own; one of an older version does not tell the file's sha256, so nothing counts.

    Raises:
        CheckpointError: latency.json is damaged.
    """
    if parity is None or parity.onnx_sha256 is None:
        return None
    report = read_section(LatencyReport, paths.latency)
    return report if report is not None and report.onnx_sha256 == parity.onnx_sha256 else None


def read_summary(checkpoint: Path) -> CheckpointSummary | None:
    """What lies beside ``checkpoint``; None when there is none that can be read."""
    try:
        return read_section(CheckpointSummary, summary_path(checkpoint))
    except (CheckpointError, OSError):
        return None


def _problem(path: Path, size: int | None, sha256: str | None, *, hashes: bool) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    found = path.stat().st_size
    if size is not None and found != size:
        return f"{path.name} is damaged: {found} bytes, {size} were written"
    if hashes and sha256 is not None and file_sha256(path) != sha256:
        return f"{path.name} is damaged, or another file: its sha256 is not the one that was recorded"
    return None
