"""Who may work on what, when several batches and trainings share an output folder.

A run belongs to the process that holds its lock (``RunPaths.lock``): ``hed train`` takes it for the whole training, a
batch for a moment to delete a folder, and for an export or a pause before another attempt.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from human_edge_detection.errors import BusyError
from human_edge_detection.files.lock import hold, holder, is_held
from human_edge_detection.files.write import delete_folder, make_folder
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.lookup.reservation import mark_unfinished, release, reserve, run_claim
from human_edge_detection.runs.paths import BATCH_LOCK

logger = logging.getLogger(__name__)

_TRASH: Final = ".trash_"
"""Folder in which files lie for the moment between their last and their end; its name ends with a process id."""


@contextmanager
def batch_claim(output_dir: Path, *, join: bool) -> Iterator[None]:
    """The right to run a batch in ``output_dir``: for one batch at a time, and for those that join it.

    Raises:
        BusyError: Another batch has it and ``join`` is not set; names that process, its host and since when.
    """
    lock = output_dir / BATCH_LOCK
    with ExitStack() as stack:
        try:
            advice = "wait for it, choose another --output_dir, or --join it and take the runs that nobody works on"
            stack.enter_context(hold(lock, f"output folder {output_dir}", advice=advice))
        except BusyError:
            if not join:
                raise
            logger.info("joining the batch of %s", holder(lock))
        yield


def take_folders(plan: Sequence[PlannedRun]) -> None:
    """Deletes what is to be trained anew, and reserves the folder of every run that is to be trained.

    All or, when one to be deleted or to grow is in use, none: a batch that joins must not take the old run of a folder
    for a finished one. A run that another process trains at the moment keeps its files as they are.

    Raises:
        BusyError: A process works on one of the runs to be deleted or to grow.
        StorageError: A folder cannot be deleted or written.
    """
    with ExitStack() as stack:
        for run in plan:
            if run.restart:
                stack.enter_context(run_claim(run.paths, advice="wait until it has ended, or leave out --restart"))
            elif run.kind == "grows" or run.resume is not None:
                stack.enter_context(run_claim(run.paths, advice="wait until it has ended; then give the command again"))
        for output_dir in dict.fromkeys(run.output_dir for run in plan):  # a look at all names in it, so once
            _delete_trash(output_dir)
        for run in plan:
            if run.restart and run.paths.root.exists():
                logger.info("restart: deleting %s", run.paths.root)
                _clear(run)
        for run in plan:
            claimed = run.restart or run.kind == "grows" or run.resume is not None
            if not run.finished and (claimed or not is_held(run.paths.lock)):
                reserve(run.paths, run.full_config, run.contents)
                if run.resume is not None:
                    mark_unfinished(run.paths)


def give_up_folders(plan: Sequence[PlannedRun]) -> None:
    """Gives up the folders of runs that never started, or failed before they had weights: their names are free again.

    What such a run says of its end stays, for the comparison.
    """
    for run in plan:
        if not run.finished and not is_held(run.paths.lock):
            release(run.paths, with_status=False)


def _clear(run: PlannedRun) -> None:
    """Deletes what the run itself has written; it leaves its folder at once, and the disk as it can.

    Renamed first: should this be killed in between, nothing half deleted is left that a run could continue from.
    """
    trash = run.output_dir / f"{_TRASH}{os.getpid()}"
    make_folder(trash)
    for number, path in enumerate(run.paths.own):
        if os.path.lexists(path):
            path.replace(trash / str(number))  # of a link the link, never what it leads to
    delete_folder(trash)


def _delete_trash(output_dir: Path) -> None:
    """What a process that was killed while it deleted has left; only for the holder of the planning lock."""
    for trash in output_dir.glob(f"{_TRASH}*"):
        if trash.name.removeprefix(_TRASH).isdecimal() and trash.is_dir() and not trash.is_symlink():
            delete_folder(trash)


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
