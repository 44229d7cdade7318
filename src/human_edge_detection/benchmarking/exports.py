"""How long the exported models of a batch take, measured together and written into each run's folder."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from human_edge_detection.benchmarking.latency import example_call, summarise, take_turns
from human_edge_detection.errors import FolderMovedError, StorageError
from human_edge_detection.files.held import held
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.provenance import processor_name
from human_edge_detection.runs.records import LatencyReport
from human_edge_prediction import Model, PredictionError, open_model

logger = logging.getLogger(__name__)

THREADS: Final = 1
ROIS: Final = 3
ROUNDS: Final = 11
LEAST_ROUNDS: Final = 3
SECONDS: Final = 10.0
"""Of all rounds together, unless the least of them take longer."""


class _Opened(NamedTuple):
    """A run's exported model, ready to be timed."""

    paths: RunPaths
    sha256: str
    model: Model
    rois: int | None
    call: Callable[[], Any]


def measure_exports(runs: Sequence[RunPaths]) -> None:
    """Times the ONNX files of ``runs``, which take turns, with one thread and one image, and writes ``latency.json``.

    A model that cannot be run, or a folder that cannot be written, is one warning; the others are measured.
    """
    with ExitStack() as stack:
        opened = [one for paths in runs if (one := _open(paths, stack)) is not None]
        _measure(opened)


def _measure(opened: Sequence[_Opened]) -> None:
    times = take_turns([one.call for one in opened], ROUNDS, seconds=SECONDS, least_rounds=LEAST_ROUNDS)
    measured, together_with = datetime.now(UTC).isoformat(timespec="seconds"), uuid.uuid4().hex
    processor = processor_name()
    for number, one in enumerate(opened):
        latency = summarise(times, number, None)
        report = LatencyReport(
            median_ms=latency.median,
            p95_ms=latency.p95,
            cpu_ms=latency.cpu,
            threads=THREADS,
            rois=one.rois,
            image_size=one.model.input.size,
            rounds=len(times.wall),
            onnx_sha256=one.sha256,
            measured=measured,
            processor=processor,
            together_with=together_with,
        )
        try:
            write_json(one.paths.latency, report.model_dump(mode="json"))
        except (StorageError, FolderMovedError) as error:
            _warn(one.paths, error)


def _open(paths: RunPaths, stack: ExitStack) -> _Opened | None:
    """The model that ``paths`` exported; None, and a warning, when it cannot be run. ``stack`` holds the folder."""
    try:
        stack.enter_context(held(paths.root))
        sha256 = file_sha256(paths.onnx) or ""  # what cannot be read cannot be opened either
        model = open_model(paths.onnx, threads=THREADS)
        rois = ROIS if model.takes_rois else None
        call = example_call(model, rois)
        call()
    except (PredictionError, OSError) as error:
        _warn(paths, error)
        return None
    return _Opened(paths, sha256, model, rois, call)


def _warn(paths: RunPaths, error: Exception) -> None:
    logger.warning("latency of %s: not measured: %s", paths.root, error)
