"""A folder belongs to a run from the moment it is planned: config.json is written before the planning lock is given up.

``hed train`` and batches plan under one lock, so two commands at once find different folders, or the same run.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import delete, make_folder, write_json
from human_edge_detection.runs.lookup.identity import RunContents, write_contents
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section

logger = logging.getLogger(__name__)

# A name that no run's lock can have: those end in .lock.
_PLANNING_LOCK: Final = ".planning_lock"
_PLANNING_SECONDS: Final = 300.0
_PROBE_SECONDS: Final = 2.0
"""Longest time that processes which only look whether a lock is held may keep it from us."""


def planning_claim(output_dir: Path) -> AbstractContextManager[None]:
    """Held while runs are planned, folders are deleted for ``--restart`` and reserved."""
    return hold(
        output_dir / _PLANNING_LOCK,
        f"planning in {output_dir}",
        advice="it takes a moment; give the command again",
        wait=_PLANNING_SECONDS,
    )


def run_claim(paths: RunPaths, *, advice: str = "wait for it") -> AbstractContextManager[None]:
    """The right to work on one run.

    Raises:
        BusyError: Another process has it.
    """
    return hold(paths.lock, f"run {paths.root}", advice=advice, wait=_PROBE_SECONDS)


def reserve(paths: RunPaths, config: ExperimentConfig, contents: RunContents) -> None:
    """Takes the folder of ``paths`` for a run of ``config``; config.json comes last, and makes it a run.

    Only for a process that holds the planning lock, and the run's lock if the run is there already.

    Raises:
        StorageError: The folder cannot be written.
    """
    make_folder(paths.root)
    write_contents(paths, contents)
    write_json(paths.config, config.model_dump(mode="json"))


def mark_unfinished(paths: RunPaths) -> None:
    """Says of a finished run that goes back to an earlier checkpoint that it is not finished any more.

    Raises:
        CheckpointError: status.json is damaged.
        StorageError: It cannot be written.
    """
    status = read_section(RunStatus, paths.status)
    if status is not None and status.state == "finished":
        write_json(paths.status, status.model_copy(update={"state": "interrupted"}).model_dump(mode="json"))


def release(paths: RunPaths, *, with_status: bool) -> None:
    """Gives up the folder of a run that never got to its first weights; its name is free again.

    Args:
        paths: The folder.
        with_status: Also what it says of its end, the folder itself and its lock, which the caller holds.
    """
    if any(paths.checkpoints.glob("*.pth")) or not paths.config.is_file():
        return
    delete(paths.config)
    delete(paths.contents)
    if with_status:
        delete(paths.status)
        _remove_empty(paths.checkpoints, paths.root)
        if not paths.root.exists():
            delete(paths.lock)  # it is held: who waits for it sees that it has gone, and takes a new one
        _remove_empty(paths.root.parent)


def leave_unused(output_dir: Path) -> None:
    """Takes away an output folder that was made for a run which has given its folder up; not when anything is in it."""
    lock = output_dir / _PLANNING_LOCK
    if not output_dir.is_dir() or any(path != lock for path in output_dir.iterdir()):
        return
    with planning_claim(output_dir):
        if all(path == lock for path in output_dir.iterdir()):
            delete(lock)
            _remove_empty(output_dir)


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # something of the user's is in it, or another run
            folder.rmdir()
