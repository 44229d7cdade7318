"""Going back to an earlier checkpoint of a run: what is later is set aside, neither deleted nor mixed with the new."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint
from human_edge_detection.errors import CheckpointError, StorageError
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.write import link_atomically, make_folder, write_atomically, write_json
from human_edge_detection.runs.lookup.resume import ResumeRecord
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import MAX_HISTORY_BYTES, CheckpointSummary, read_section

logger = logging.getLogger(__name__)


def go_back(paths: RunPaths, given: Path, checkpoint: Checkpoint, sha256: str) -> None:
    """Makes ``checkpoint``, read from ``given``, the newest of the run; what is later goes to a folder of its own.

    Killed in between, it is done again by the same command; once done, that command goes on from where the run has come
    (``resumed_from.json`` says so). For the process that holds the run's lock.

    Raises:
        StorageError: Something cannot be moved or written.
    """
    record = ResumeRecord(checkpoint=given.name, sha256=sha256, complete=False)
    write_json(paths.resumed_from, record.model_dump(mode="json"))
    later = [*_later_checkpoints(paths, given, checkpoint)]
    if later:
        aside = paths.checkpoints / f"set_aside_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        make_folder(aside)
        _keep_later_metrics(paths, aside, checkpoint.epoch)
        # The checkpoints last: while one of them is there, the same command sees that it is not done.
        for path in (paths.result, paths.per_image, paths.test_scores, paths.test_per_image, *later):
            for file in (path, summary_path(path)) if path.suffix == ".pth" else (path,):
                _move(file, aside)
        logger.info("back to %s: %d later checkpoints are in %s", given.name, len(later), aside)
    if given.resolve() != paths.latest.resolve():
        link_atomically(given, paths.latest)
        if summary_path(given).is_file():
            link_atomically(summary_path(given), summary_path(paths.latest))
    write_json(paths.resumed_from, record.model_copy(update={"complete": True}).model_dump(mode="json"))


def _later_checkpoints(paths: RunPaths, given: Path, checkpoint: Checkpoint) -> Iterator[Path]:
    here = (checkpoint.epoch, _step(given))
    for path in (*paths.epoch_checkpoints(), paths.latest, paths.best):
        if not path.is_file() or (path.exists() and given.exists() and path.samefile(given)):
            continue
        summary = _summary(path)
        epoch, step = (0, 0) if summary is None else (summary.epoch, summary.step or 0)
        # The best weights have no step: they are of the end of their epoch.
        if epoch > here[0] or (epoch == here[0] and step > here[1]):
            yield path


def _keep_later_metrics(paths: RunPaths, aside: Path, epoch: int) -> None:
    if paths.metrics.is_file():
        lines = read_regular_file(paths.metrics, max_bytes=MAX_HISTORY_BYTES).splitlines(keepends=True)
        write_atomically(aside / paths.metrics.name, b"".join(lines[epoch:]))


def _move(file: Path, folder: Path) -> None:
    if not file.is_file():
        return
    try:
        file.replace(folder / file.name)
    except OSError as error:
        raise StorageError(f"{file} cannot be moved to {folder} ({error.strerror}); check rights and disk") from error


def _step(checkpoint: Path) -> int:
    summary = _summary(checkpoint)
    return 0 if summary is None else summary.step or 0


def _summary(checkpoint: Path) -> CheckpointSummary | None:
    try:
        return read_section(CheckpointSummary, summary_path(checkpoint))
    except CheckpointError:
        return None
