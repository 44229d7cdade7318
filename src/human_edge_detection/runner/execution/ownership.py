"""Who may work on what, when several batches and trainings share an output folder.

A run belongs to the process that holds its lock (``RunPaths.lock``): ``hed train`` takes it for the whole training, a
batch for a moment to delete a folder, and for an export or a pause before another attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from human_edge_detection.errors import BusyError
from human_edge_detection.files.lock import hold, holder, is_held
from human_edge_detection.files.write import delete, delete_folder
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.paths import RunPaths

logger = logging.getLogger(__name__)

# Names that no run's lock can have: those end in .lock.
_BATCH_LOCK: Final = ".batch_lock"
_PLANNING_LOCK: Final = ".planning_lock"
_PROBE_SECONDS: Final = 2.0
"""Longest time that processes which only look whether a lock is held may keep it from us."""
_PLANNING_SECONDS: Final = 300.0


@contextmanager
def batch_claim(output_dir: Path, *, join: bool) -> Iterator[None]:
    """The right to run a batch in ``output_dir``: for one batch at a time, and for those that join it.

    Raises:
        BusyError: Another batch has it and ``join`` is not set; names that process, its host and since when.
    """
    lock = output_dir / _BATCH_LOCK
    with ExitStack() as stack:
        try:
            advice = "wait for it, choose another --output_dir, or --join it and take the runs that nobody works on"
            stack.enter_context(hold(lock, f"output folder {output_dir}", advice=advice))
        except BusyError:
            if not join:
                raise
            logger.info("joining the batch of %s", holder(lock))
        yield


def planning_claim(output_dir: Path) -> AbstractContextManager[None]:
    """Held for the moment in which a batch is planned and folders are deleted for ``--restart``."""
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


def delete_for_restart(plan: Sequence[PlannedRun]) -> None:
    """Deletes the folders of all runs that are to be trained anew; all or, when one is in use, none.

    At once and not one by one: a batch that joins must not take the old run of a folder for a finished one.

    Raises:
        BusyError: A process works on one of these runs.
        StorageError: A folder cannot be deleted.
    """
    doomed = [run.paths for run in plan if run.restart and run.paths.root.exists()]
    with ExitStack() as stack:
        for paths in doomed:
            stack.enter_context(run_claim(paths, advice="wait until it has ended, or leave out --restart"))
        for paths in doomed:
            logger.info("restart: deleting %s", paths.root)
            _clear(paths)


def _clear(paths: RunPaths) -> None:
    # The checkpoints first: should this be killed here, nothing is left that a run could continue from.
    delete_folder(paths.checkpoints)
    for entry in paths.root.iterdir():
        if entry.name.startswith("seed_") or entry.suffix == ".lock":
            continue  # another run of the same experiment, or its lock
        if entry.is_dir() and not entry.is_symlink():
            delete_folder(entry)
        else:
            delete(entry)


class Waiting:
    """Says once of each run that another process works on it."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, runs: Sequence[PlannedRun]) -> None:
        """Logs a line for each run of ``runs`` that is held by a process not yet named."""
        for run in runs:
            who = holder(run.paths.lock)
            if is_held(run.paths.lock) and self._said.get(run.name) != who:
                self._said[run.name] = who
                logger.info("waiting for %s: trained by %s", run.name, who)
