"""Every operation on the disk fails once, for every operation there is: the run loses at most one interval.

SQLite's method (sqlite.org/testing.html, "I/O error and crash testing"). A made-up run of a few steps goes through the
real saving, pruning, status, metrics and registry code on a disk that counts its operations. For every number n the
n-th one fails, in four ways:

- ``kill``: the process is dead from there on; a write may be half done.
- ``power``: as kill, and what was not synced is gone as well: bytes of files, and names in folders.
- ``once``: the operation fails (ENOSPC, EIO or EDQUOT) and the next ones work again.
- ``for ever``: the disk is full (or fails) from there on; then somebody makes room.

By default one operation in seven fails, with ``-m slow`` every one.

Then the same command is given again. Deliberately broken storage must be caught by the same sweep.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine.checkpoints import save_policy
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.checkpoints.save_policy import Saver, mend_best, newest_good_checkpoint
from human_edge_detection.engine.session.status import StatusFile
from human_edge_detection.engine.training.writers import write_metrics
from human_edge_detection.errors import HumanEdgeDetectionError, StorageError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files import write
from human_edge_detection.runner.comparison.table import write_comparison
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section

pytestmark = pytest.mark.usefixtures("small_networks")

WAYS = ("kill", "power", "once ENOSPC", "for ever ENOSPC")
SLOW_WAYS = tuple(f"{way} {error}" for way in ("once", "for ever") for error in ("EIO", "EDQUOT"))
EPOCHS, STEPS = 3, 2
SCORES = (0.3, 0.5, 0.4)
OPERATIONS = ("open", "write", "fsync", "close", "replace", "link", "unlink", "makedirs")


class Dead(BaseException):
    """In place of a killed process."""


class Disk:
    """``os`` for :mod:`human_edge_detection.files.write`, with an operation that fails.

    Attributes:
        count: Operations so far.
        fail_at: Number of the one that fails, from 1; 0: none does.
        way: How, one of ``WAYS`` or ``SLOW_WAYS``.
    """

    def __init__(self, fail_at: int = 0, way: str = "kill") -> None:
        self.count, self.fail_at, self.way = 0, fail_at, way
        self.dead = False
        self._paths: dict[int, Path] = {}
        self._unsynced_files: set[Path] = set()
        self._unsynced_names: list[tuple[Path, bytes | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self, f"_{name}") if name in OPERATIONS else getattr(os, name)

    def _fails(self) -> bool:
        self.count += 1
        if self.dead:
            raise Dead
        if self.fail_at and (
            self.count == self.fail_at or (self.way.startswith("for ever") and self.count > self.fail_at)
        ):
            if self.way in ("kill", "power"):
                self.dead = True
            return True
        return False

    def _fail(self) -> None:
        if self.dead:
            raise Dead
        number = getattr(errno, self.way.split()[-1])
        raise OSError(number, os.strerror(number))

    def _open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if self._fails():
            self._fail()
        descriptor = os.open(path, flags, mode)
        self._paths[descriptor] = Path(path)
        if flags & os.O_CREAT:
            self._unsynced_files.add(Path(path))
        return descriptor

    def _write(self, descriptor: int, content: memoryview) -> int:
        if self._fails():
            os.write(descriptor, content[: len(content) // 2])
            self._fail()
        return os.write(descriptor, content)

    def _fsync(self, descriptor: int) -> None:
        if self._fails():
            self._fail()
        path = self._paths[descriptor]  # nothing is lost in earnest here, so nothing is synced
        self._unsynced_files.discard(path)
        self._unsynced_names = [entry for entry in self._unsynced_names if entry[0].parent != path]

    def _close(self, descriptor: int) -> None:
        os.close(descriptor)
        if self._fails():
            self._fail()

    def _replace(self, source: Path, target: Path) -> None:
        if self._fails():
            self._fail()
        self._unsynced_names.append((target, target.read_bytes() if target.exists() else None))
        if source in self._unsynced_files:
            self._unsynced_files.add(target)
        os.replace(source, target)

    def _link(self, source: Path, target: Path) -> None:
        if self._fails():
            raise Dead if self.dead else OSError(errno.EIO, os.strerror(errno.EIO))
        os.link(source, target)

    def _unlink(self, path: Path) -> None:
        if self._fails():
            self._fail()
        before = Path(path).read_bytes() if Path(path).exists() else None
        os.unlink(path)
        self._unsynced_names.append((Path(path), before))

    def _makedirs(self, path: Path, exist_ok: bool = False) -> None:
        if self._fails():
            self._fail()
        os.makedirs(path, exist_ok=exist_ok)

    def lose_power(self) -> None:
        """What was not synced is not there after the restart: the worst that a file system may do."""
        for path in self._unsynced_files:
            if path.exists():
                path.write_bytes(b"\0" * path.stat().st_size)
        for path, before in reversed(self._unsynced_names):
            path.unlink(missing_ok=True)
            if before is not None:
                path.write_bytes(before)


@contextmanager
def using(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "os", disk)
        yield


class MadeUpRun:
    """A run whose training is a formula; all that it writes, it writes as :class:`Trainer` does."""

    def __init__(self, config: ExperimentConfig, paths: RunPaths) -> None:
        self.config, self.paths = config, paths
        self.weight = torch.arange(4.0)
        self.saved_step = 0
        """The last step of which a save has returned and did not fail."""

    def state(self, progress: TrainingProgress) -> Checkpoint:
        return Checkpoint(
            self.config, {"weight": self.weight}, progress.epoch, {}, "data", {"progress": progress.to_state()}
        )

    def train(self) -> TrainingProgress:
        """The run from where it stands to its end; returns where it started."""
        saver = Saver(self.paths, keep_last=1, keep_every=1000, minutes=10.0)
        found = newest_good_checkpoint(self.paths)
        progress = TrainingProgress()
        if found is not None and found.training is not None:
            progress = TrainingProgress.from_state(found.training["progress"])
            self.weight.copy_(found.model["weight"])
            if progress.best_epoch:
                mend_best(self.paths, progress.best_epoch)
        started_at = progress.step
        status = StatusFile(self.paths, EPOCHS)
        write.write_json(self.paths.config, self.config.model_dump(mode="json"))
        write_metrics(self.paths.metrics, progress.history)
        status.write("running", progress)
        self.go_on(progress, saver, status)
        saver.finish(self.state(progress))
        write_metrics(self.paths.metrics, progress.history)
        status.write("finished", progress)
        write_comparison(self.paths.root.parent)
        return TrainingProgress(step=started_at)

    def go_on(self, progress: TrainingProgress, saver: Saver, status: StatusFile) -> None:
        while progress.epoch < EPOCHS:
            while progress.batch < STEPS:
                progress.batch += 1
                progress.step += 1
                self.weight.mul_(1.5)
                if progress.batch == 1:
                    saver.save(self.state(progress))
                    self.saved_step = progress.step if saver._failures == 0 else self.saved_step
            score = SCORES[progress.epoch]
            is_best = progress.finish_epoch({"epoch": progress.epoch + 1, "score": score}, score)
            saver.save_epoch(self.state(progress), is_best=is_best)
            self.saved_step = progress.step if saver._failures == 0 else self.saved_step
            with suppress(StorageError):
                write_metrics(self.paths.metrics, progress.history)
            status.running(progress)


def result_of(paths: RunPaths) -> dict[str, Any]:
    """All that must be equal in the end."""
    kept = {path.name: read_checkpoint(path)[0] for path in sorted(paths.checkpoints.glob("[!b]*.pth"))}
    kept["best"] = read_checkpoint(paths.best)[0]
    status = read_section(RunStatus, paths.status)
    registry = json.loads((paths.root.parent.parent / "experiment_runs.json").read_text())
    assert status is not None
    return {
        "weights": {name: checkpoint.model["weight"].tolist() for name, checkpoint in kept.items()},
        "epochs": {name: checkpoint.epoch for name, checkpoint in kept.items()},
        "metrics": paths.metrics.read_text(),
        "status": (status.state, status.epoch, status.step),
        "registry": [(row["run"], row["status"], row["epoch"]) for row in registry],
        "files": sorted(path.name for path in paths.root.rglob("*") if path.is_file()),
        "leftovers": [path.name for path in paths.root.rglob(".*.tmp")],
        "damaged": [path.name for path in paths.checkpoints.glob("bad_*")],
    }


def readable_now(paths: RunPaths) -> None:
    """Whoever looks after the crash sees whole files."""
    read_section(RunStatus, paths.status)
    beside = paths.root.parent.parent
    for line in paths.metrics.read_text().splitlines() if paths.metrics.exists() else []:
        json.loads(line)
    for file in beside.glob("*.json"):
        json.loads(file.read_text())
    for file in beside.glob("*.csv"):
        assert all(None not in row for row in csv.DictReader(file.read_text().splitlines()))


def crash_and_go_on(config: ExperimentConfig, folder: Path, n: int, way: str) -> tuple[dict[str, Any], bool]:
    """Operation ``n`` fails; the same command is given again. Returns the end and whether operation n was reached."""
    run = MadeUpRun(config, RunPaths(folder / "experiments" / "run"))
    disk = Disk(n, way)
    with using(disk), suppress(Dead, StorageError, HumanEdgeDetectionError):
        run.train()
    if way == "power" and disk.dead:
        disk.lose_power()
    readable_now(run.paths)
    saved = run.saved_step
    with using(Disk()):
        started = MadeUpRun(config, run.paths).train()
    assert started.step >= saved, f"step {saved} was saved, and the run went on from {started.step}"
    return result_of(run.paths), disk.count >= n


@pytest.fixture(scope="module")
def straight(tiny_config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What an undisturbed run leaves, and its number of operations."""
    paths = RunPaths(tmp_path_factory.mktemp("straight") / "experiments" / "run")
    disk = Disk()
    with using(disk):
        MadeUpRun(tiny_config, paths).train()
    return result_of(paths), disk.count


def problems(
    config: ExperimentConfig, straight: tuple[dict[str, Any], int], folder: Path, way: str, *, stride: int = 1
) -> Iterator[str]:
    """What a sweep over all operations, or one in ``stride`` of them, finds."""
    expected, operations = straight
    for n in range(1, operations + 1, stride):
        try:
            end, reached = crash_and_go_on(config, folder / str(n), n, way)
        except (AssertionError, ValueError, KeyError, OSError, HumanEdgeDetectionError) as error:
            yield f"operation {n}: {error}"
            continue
        if not reached:
            yield f"operation {n} was never made"
        yield from (f"operation {n}: {key}" for key in expected if end[key] != expected[key])


@pytest.mark.parametrize("way", WAYS)
def test_where_one_operation_in_seven_fails_nothing_is_lost(
    way: str, tiny_config: ExperimentConfig, straight: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    assert list(problems(tiny_config, straight, tmp_path, way, stride=7)) == []


@pytest.mark.slow
@pytest.mark.parametrize("way", [*WAYS, *SLOW_WAYS])
def test_whatever_fails_nothing_is_lost(
    way: str, tiny_config: ExperimentConfig, straight: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    assert straight[1] > 200
    assert list(problems(tiny_config, straight, tmp_path, way)) == []


def disk_in_use() -> Any:
    """What :mod:`human_edge_detection.files.write` has for ``os``."""
    return vars(write)["os"]


def in_place(path: Path, content: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    disk = disk_in_use()
    descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    disk.write(descriptor, memoryview(content))
    disk.close(descriptor)


def without_sync(path: Path, content: memoryview) -> None:
    disk = disk_in_use()
    descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    disk.write(descriptor, content)
    disk.close(descriptor)


def pruned_first(self: Saver, checkpoint: Checkpoint, *, epoch_done: bool) -> None:
    save_policy.prune(self._paths, self._keep_last, self._keep_every)
    for path in (*self._paths.epoch_checkpoints(), self._paths.latest):
        write.delete(path)
    ORIGINAL_WRITE(self, checkpoint, epoch_done=epoch_done)


ORIGINAL_WRITE = Saver._write
BROKEN: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "files written in place": ("kill", lambda patch: _replace_everywhere(patch, "write_atomically", in_place)),
    "no sync of the bytes": ("power", lambda patch: patch.setattr(write, "_write", without_sync)),
    "no sync of the name": ("power", lambda patch: patch.setattr(write, "_sync_folder", lambda folder: None)),
    "old states deleted first": ("kill", lambda patch: patch.setattr(Saver, "_write", pruned_first)),
    "the best not mended": ("kill", lambda patch: patch.setitem(globals(), "mend_best", lambda *_: None)),
    "leftovers left": ("kill", lambda patch: patch.setattr(save_policy, "delete_leftovers", lambda folder: None)),
    "an unsaved best goes on learning": (
        "once ENOSPC",
        lambda patch: patch.setattr(save_policy, "_copy", lambda best: best),
    ),
}


def _replace_everywhere(patch: pytest.MonkeyPatch, name: str, function: Callable[..., None]) -> None:
    for module in (
        "files.write",
        "engine.checkpoints.checkpoint",
        "engine.training.writers",
        "runner.comparison.table",
    ):
        patch.setattr(f"human_edge_detection.{module}.{name}", function)


LONG = ("the best not mended", "an unsaved best goes on learning")
"""What only a late point of the sweep finds."""


@pytest.mark.parametrize(
    "broken", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in BROKEN]
)
def test_the_sweep_finds_what_is_broken_on_purpose(
    broken: str, tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, break_it = BROKEN[broken]
    break_it(monkeypatch)
    paths = RunPaths(tmp_path / "straight" / "experiments" / "run")
    disk = Disk()
    with using(disk):
        MadeUpRun(tiny_config, paths).train()
    assert next(problems(tiny_config, (result_of(paths), disk.count), tmp_path, way), None)
