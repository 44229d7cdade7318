"""How long the exported models of a batch take: one child measures them all, so that the figures are comparable."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from human_edge_detection.errors import BackendError, CheckpointError
from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.runner import LATENCY
from human_edge_detection.runner.execution.launch import launch
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.artifacts import is_exported, latency_of
from human_edge_detection.runs.paths import RunPaths, run_paths_of_checkpoint
from human_edge_detection.runs.records import LatencyReport, ParityReport, read_section

logger = logging.getLogger(__name__)

_HANG_SECONDS: Final = 600.0
"""A measurement that takes so long hangs."""


def timed_together(plan: Sequence[PlannedRun]) -> list[RunPaths]:
    """The runs of a batch, and the teachers of earlier batches that they have, each once."""
    teachers = [run.checkpoints[TEACHER_CHECKPOINT] for run in plan if TEACHER_CHECKPOINT in run.checkpoints]
    runs = [*(run.paths for run in plan), *map(run_paths_of_checkpoint, teachers)]
    return list({os.path.realpath(paths.root): paths for paths in runs}.values())


def measure_latency(runs: Sequence[RunPaths]) -> KeyboardInterrupt | None:
    """Measures all exported models of ``runs`` together, unless they were, and writes a ``latency.json`` into each run.

    A child of this process does it, which imports ONNX Runtime. Whatever goes wrong is a warning.

    Returns:
        What asked this process to end meanwhile; None when nothing did.
    """
    try:
        exported = [paths for paths in runs if _may_be_measured(paths)]
        if _are_measured(exported):
            return None
        logger.info("timing %d exported models", len(exported))
        return _measure(exported)
    except KeyboardInterrupt as interrupt:  # it came while no child ran
        return interrupt


def _measure(runs: Sequence[RunPaths]) -> KeyboardInterrupt | None:
    waited = 0.0

    def is_hung(seconds: float) -> bool:
        nonlocal waited
        waited += seconds
        return waited > _HANG_SECONDS

    folders = [str(paths.root.absolute()) for paths in runs]
    try:
        ended = launch([sys.executable, "-m", "human_edge_detection", LATENCY, *folders], is_hung=is_hung)
    except BackendError as error:
        logger.warning("latency: not measured: %s", error)
        return None
    if ended.returncode and ended.interrupt is None:
        logger.warning("latency: not measured: its process ended with exit code %d", ended.returncode)
    return ended.interrupt


def _may_be_measured(paths: RunPaths) -> bool:
    """Whether the run has an export, whole and of its best weights, whose latency can be told to be of it."""
    try:
        parity = read_section(ParityReport, paths.parity)
        return parity is not None and parity.onnx_sha256 is not None and is_exported(paths)
    except (CheckpointError, OSError):
        return False


def _are_measured(runs: Sequence[RunPaths]) -> bool:
    """Whether all have a latency, and all of one measurement."""
    found = [_latency(paths) for paths in runs]
    return len({report and report.together_with for report in found}) < 2 and None not in found


def _latency(paths: RunPaths) -> LatencyReport | None:
    try:
        return latency_of(paths, read_section(ParityReport, paths.parity))
    except CheckpointError:  # damaged: it is written anew
        return None
