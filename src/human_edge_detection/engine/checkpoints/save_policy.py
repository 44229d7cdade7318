"""When and in which order the checkpoints of a run are written, and which one a run goes on from."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from human_edge_detection.engine.checkpoints.checkpoint import (
    Checkpoint,
    read_checkpoint,
    save_checkpoint,
    write_summary,
)
from human_edge_detection.errors import CheckpointError, DamagedCheckpointError, StorageError, TrainingError
from human_edge_detection.files.write import delete, delete_leftovers, link_atomically, set_aside
from human_edge_detection.runs.lookup.references import named_checkpoints
from human_edge_detection.runs.paths import RunPaths, summary_path

logger = logging.getLogger(__name__)

MAX_FAILED_SAVES: Final = 3
"""Saves in a row that may fail before the run stops."""


class Saver:
    """Saves the state of one run; a save that fails costs nothing but the time since the last one that did not.

    The files come in an order in which a process may die between any two of them: first the state of the epoch, from
    which :func:`mend_best` can make the best weights, then these, and only then old states are deleted.
    """

    def __init__(
        self, paths: RunPaths, *, keep_last: int, keep_every: int, minutes: float, writes: bool = True
    ) -> None:
        """Keeps the newest ``keep_last`` epochs and each ``keep_every``-th; at most ``minutes`` between two saves.

        Where another process of the run saves it, this one does not (``writes`` is false).
        """
        self._writes = writes
        self._paths = paths
        self._keep_last = keep_last
        self._keep_every = keep_every
        self._seconds = 60.0 * minutes
        self._saved_at = time.monotonic()
        self._failures = 0
        self._unsaved_best: Checkpoint | None = None

    @property
    def due(self) -> bool:
        """Whether the last save, tried or done, is long enough ago."""
        return self._writes and time.monotonic() - self._saved_at >= self._seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Saves a state in the middle of an epoch.

        Raises:
            TrainingError: This save and those before it failed.
        """
        if self._writes:
            self._try(checkpoint, epoch_done=False)

    def save_epoch(self, checkpoint: Checkpoint, *, is_best: bool) -> None:
        """Saves the state after an epoch, and its weights as the best ones when they are.

        Raises:
            TrainingError: This save and those before it failed.
        """
        if not self._writes:
            return
        if is_best:
            self._unsaved_best = checkpoint.weights_only()
        self._try(checkpoint, epoch_done=True)

    def finish(self, checkpoint: Checkpoint) -> None:
        """Makes sure that the state after the last epoch is on the disk, and no old one.

        Raises:
            StorageError: It cannot be written.
        """
        if self._failures:
            self._write(checkpoint, epoch_done=True)
        prune(self._paths, self._keep_last, self._keep_every)

    def _try(self, checkpoint: Checkpoint, *, epoch_done: bool) -> None:
        try:
            self._write(checkpoint, epoch_done=epoch_done)
        except StorageError as error:
            self._failures += 1
            if self._unsaved_best is not None:
                self._unsaved_best = _copy(self._unsaved_best)  # training is about to change the weights
            logger.warning("checkpoint not saved, training goes on from memory: %s", error)
            if self._failures >= MAX_FAILED_SAVES:
                raise TrainingError(
                    f"{self._failures} saves in a row failed: {error}; then give the same command again, it goes on "
                    "from the last checkpoint that was saved"
                ) from error
        else:
            self._failures = 0
        self._saved_at = time.monotonic()

    def _write(self, checkpoint: Checkpoint, *, epoch_done: bool) -> None:
        latest = self._paths.latest
        if epoch_done:
            path = self._paths.epoch_checkpoint(checkpoint.epoch)
            save_checkpoint(path, checkpoint)
            _publish(path, latest)
        else:
            save_checkpoint(latest, checkpoint)
        if self._unsaved_best is not None:
            save_checkpoint(self._paths.best, self._unsaved_best)
            self._unsaved_best = None
        prune(self._paths, self._keep_last, self._keep_every)


def _copy(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, model={name: value.clone() for name, value in checkpoint.model.items()})


def _publish(path: Path, latest: Path) -> None:
    link_atomically(path, latest)
    link_atomically(summary_path(path), summary_path(latest))


def prune(paths: RunPaths, keep_last: int, keep_every: int) -> None:
    """Deletes epoch checkpoints but the newest ``keep_last``, each ``keep_every``-th and those that other runs name."""
    old = [path for path in paths.epoch_checkpoints()[:-keep_last] if paths.epoch_of(path) % keep_every]
    named = named_checkpoints(paths) if old else set()
    for checkpoint in old:
        if checkpoint.name not in named:
            delete(summary_path(checkpoint))
            delete(checkpoint)


def newest_good_checkpoint(paths: RunPaths) -> Checkpoint | None:
    """The newest checkpoint to resume from that reads whole, now latest.pth; None when the run has none.

    For the process that holds the run's lock: a damaged one is renamed to ``bad_<name>``, with a warning, and what
    killed processes left half written is deleted.

    Raises:
        CheckpointError: There are some, now or set aside earlier, and all are damaged; or one is whole and not this
            tool's (a newer version's).
        StorageError: A damaged one cannot be renamed.
    """
    delete_leftovers(paths.root)
    delete_leftovers(paths.checkpoints)
    latest = _read_or_set_aside(paths.latest)
    for path in reversed(paths.epoch_checkpoints()):
        # Newer than latest.pth when the process died before it got its second name.
        newer = latest is None or path.name > paths.epoch_checkpoint(latest.epoch).name
        checkpoint = _read_or_set_aside(path) if newer else None
        if checkpoint is not None:
            _publish(path, paths.latest)
            return checkpoint
    if latest is not None:
        return latest
    damaged = sorted(paths.checkpoints.glob("bad_*.pth"))
    if damaged:
        raise CheckpointError(
            f"no checkpoint of {paths.root} can be read ({', '.join(path.name for path in damaged)}); restore one from "
            "a backup, or train the run anew: --restart, or delete its folder"
        )
    return None


def mend_best(paths: RunPaths, best_epoch: int) -> None:
    """Makes best_model.pth hold the weights of ``best_epoch``, from the state after that epoch where it must.

    Raises:
        CheckpointError: It is missing or damaged, and that state is not there any more.
    """
    best = _read_or_set_aside(paths.best)
    if best is not None and best.epoch == best_epoch:
        return
    state = _read_or_set_aside(paths.epoch_checkpoint(best_epoch))
    if state is not None:
        save_checkpoint(paths.best, state.weights_only())
    elif best is None:
        raise CheckpointError(
            f"{paths.best} is missing or damaged, and epoch {best_epoch}, the best so far, is not kept any more; "
            "restore it from a backup, or train the run anew: --restart, or delete its folder"
        )
    # Else it is of a later epoch, which is about to be repeated: an older checkpoint was chosen to go on from.


def _read_or_set_aside(path: Path) -> Checkpoint | None:
    """The checkpoint at ``path``, its summary put right; None when it is missing, or damaged and now renamed."""
    if not path.exists():
        return None
    try:
        checkpoint, sha256 = read_checkpoint(path)
    except DamagedCheckpointError as error:
        aside = set_aside(path)
        logger.warning("%s; kept as %s, going on without it", error, aside.name)
        return None
    write_summary(path, checkpoint, sha256)
    return checkpoint
