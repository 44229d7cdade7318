import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.save_policy import Saver, mend_best, newest_good_checkpoint, prune
from human_edge_detection.errors import CheckpointError, StorageError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths

State = Callable[..., Checkpoint]


@pytest.fixture
def state(tiny_config: ExperimentConfig) -> State:
    """``state(epoch, step)``: a checkpoint whose one weight is the step."""

    def make(epoch: int, step: int = 0) -> Checkpoint:
        progress = {"epoch": epoch, "step": step}
        weights = {"weight": torch.tensor([float(step)])}
        return Checkpoint(tiny_config, weights, epoch, {}, "data", {"progress": progress})

    return make


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


@pytest.fixture
def saver(paths: RunPaths) -> Saver:
    return Saver(paths, keep_last=2, keep_every=1000, minutes=10.0)


@pytest.fixture
def three_epochs(saver: Saver, paths: RunPaths, state: State) -> RunPaths:
    """Epochs 1 to 3, the second the best; the first is pruned."""
    for epoch in (1, 2, 3):
        saver.save_epoch(state(epoch, 10 * epoch), is_best=epoch == 2)
    return paths


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """``full_disk(True)`` fills it, ``full_disk(False)`` frees it."""
    write = os.write

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda full: monkeypatch.setattr(os, "write", fail if full else write)


def epoch_of(path: Path) -> int:
    return read_checkpoint(path)[0].epoch


def test_an_epoch_leaves_its_state_the_latest_and_the_best(three_epochs: RunPaths) -> None:
    names = ("best_model", "checkpoint_epoch_0002", "checkpoint_epoch_0003", "latest")
    assert sorted(file.name for file in three_epochs.checkpoints.iterdir()) == [
        f"{name}.{kind}" for name in names for kind in ("json", "pth")
    ]
    assert [epoch_of(path) for path in (three_epochs.best, three_epochs.latest)] == [2, 3]
    assert read_checkpoint(three_epochs.best)[0].training is None
    assert json.loads(three_epochs.latest.with_suffix(".json").read_text())["step"] == 30


def test_every_so_many_epochs_are_kept(paths: RunPaths, state: State) -> None:
    saver = Saver(paths, keep_last=2, keep_every=3, minutes=10.0)
    for epoch in range(1, 9):
        saver.save_epoch(state(epoch, epoch), is_best=False)
    assert [paths.epoch_of(path) for path in paths.epoch_checkpoints()] == [3, 6, 7, 8]


@pytest.mark.parametrize("folder", ["student", "student/seed_1"])
def test_a_checkpoint_that_another_run_names_is_kept(saver: Saver, paths: RunPaths, state: State, folder: str) -> None:
    other = RunPaths(paths.root.parent / folder)
    named = str(Path("elsewhere", paths.root.name, "checkpoints", "checkpoint_epoch_0002.pth"))
    write_json(other.config, {"distillation": {"teacher_checkpoint": named}})
    for epoch in range(1, 6):
        saver.save_epoch(state(epoch, epoch), is_best=False)
    assert [paths.epoch_of(path) for path in paths.epoch_checkpoints()] == [2, 4, 5]


def test_more_epochs_than_there_are_can_be_kept(three_epochs: RunPaths) -> None:
    prune(three_epochs, keep_last=5, keep_every=1000)
    assert len(three_epochs.epoch_checkpoints()) == 2


@pytest.mark.parametrize("links", [True, False])
def test_a_state_within_an_epoch_replaces_only_the_latest(
    links: bool, saver: Saver, paths: RunPaths, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    saver.save_epoch(state(1), is_best=True)
    saver.save(state(1, 7))
    assert read_checkpoint(paths.latest)[0].model["weight"] == 7
    assert read_checkpoint(paths.epoch_checkpoint(1))[0].model["weight"] == 0


def _no_links(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def test_a_save_is_due_after_its_minutes(paths: RunPaths, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    saver = Saver(paths, keep_last=2, keep_every=1000, minutes=10.0)
    clock = 1599.0
    assert not saver.due
    clock = 1600.0
    assert saver.due
    saver.save(state(0))
    assert not saver.due


def test_a_full_disk_costs_a_save_and_no_more(
    saver: Saver, paths: RunPaths, state: State, full_disk: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    saver.save_epoch(state(1, 10), is_best=True)
    live = state(2, 20)
    full_disk(True)
    saver.save_epoch(live, is_best=True)
    saver.save(live)
    full_disk(False)
    assert [record.message for record in caplog.records if "No space left" in record.message]
    assert [epoch_of(path) for path in (paths.best, paths.latest)] == [1, 1]
    assert not list(paths.checkpoints.glob(".*.tmp"))
    live.model["weight"] += 1  # training goes on in the same tensors
    saver.save_epoch(state(3, 30), is_best=False)
    assert [epoch_of(path) for path in (paths.best, paths.latest)] == [2, 3]
    assert read_checkpoint(paths.best)[0].model["weight"] == 20


def test_three_saves_in_a_row_that_fail_stop_the_run(
    saver: Saver, state: State, full_disk: Callable[[bool], None]
) -> None:
    for _ in range(2):
        full_disk(True)
        saver.save(state(0))
        saver.save(state(0))
        full_disk(False)
        saver.save(state(0))
    full_disk(True)
    saver.save(state(0))
    saver.save(state(0))
    with pytest.raises(TrainingError, match=r"3 saves in a row failed: .*No space left.*the same command again"):
        saver.save(state(0))


def test_the_last_state_must_be_on_the_disk(
    saver: Saver, paths: RunPaths, state: State, full_disk: Callable[[bool], None]
) -> None:
    full_disk(True)
    saver.save_epoch(state(1), is_best=True)
    with pytest.raises(StorageError, match="No space left"):
        saver.finish(state(1))
    full_disk(False)
    saver.finish(state(1))
    assert [epoch_of(path) for path in (paths.best, paths.latest, paths.epoch_checkpoint(1))] == [1, 1, 1]


def test_a_run_without_checkpoints_starts_anew(paths: RunPaths) -> None:
    assert newest_good_checkpoint(paths) is None


def test_the_latest_is_the_newest(three_epochs: RunPaths) -> None:
    found = newest_good_checkpoint(three_epochs)
    assert found is not None
    assert found.epoch == 3


def test_an_epoch_that_had_no_time_to_become_the_latest_is_found(saver: Saver, paths: RunPaths, state: State) -> None:
    saver.save(state(0, 5))
    save_checkpoint(paths.epoch_checkpoint(1), state(1, 10))
    found = newest_good_checkpoint(paths)
    assert found is not None
    assert found.epoch == 1
    assert epoch_of(paths.latest) == 1


def test_a_damaged_newest_one_is_set_aside(three_epochs: RunPaths, caplog: pytest.LogCaptureFixture) -> None:
    # latest.pth and the third are one file with two names: a bad sector damages both.
    with three_epochs.latest.open("r+b") as file:
        file.write(b"damage")
    found = newest_good_checkpoint(three_epochs)
    assert found is not None
    assert found.epoch == 2
    assert epoch_of(three_epochs.latest) == 2
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 2
    assert all("damaged (checksum differs)" in warning and "kept as bad_" in warning for warning in warnings)
    assert {file.name for file in three_epochs.checkpoints.glob("bad_*")} == {
        "bad_latest.pth",
        "bad_checkpoint_epoch_0003.pth",
    }


def test_a_run_with_only_damaged_ones_is_never_started_anew(three_epochs: RunPaths) -> None:
    for path in (three_epochs.latest, *three_epochs.epoch_checkpoints()):
        path.write_bytes(b"damage")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"no checkpoint of .*run can be read .*--restart"):
            newest_good_checkpoint(three_epochs)


def test_a_checkpoint_of_a_newer_version_is_left_where_it_is(
    saver: Saver, paths: RunPaths, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("human_edge_detection.engine.checkpoints.checkpoint.FORMAT_VERSION", 99)
        saver.save(state(0))
    with pytest.raises(CheckpointError, match="newer version"):
        newest_good_checkpoint(paths)
    assert paths.latest.exists()


def test_what_killed_processes_left_is_cleared_away(three_epochs: RunPaths) -> None:
    leftover = three_epochs.checkpoints / ".latest.pth.0123.tmp"
    leftover.write_bytes(b"half")
    newest_good_checkpoint(three_epochs)
    assert not leftover.exists()


@pytest.mark.parametrize("damage", ["missing", "damaged", "older"])
def test_the_best_is_made_again_from_its_epoch(damage: str, three_epochs: RunPaths, state: State) -> None:
    good = read_checkpoint(three_epochs.best)[0].model["weight"]
    if damage == "missing":
        three_epochs.best.unlink()
    elif damage == "damaged":
        three_epochs.best.write_bytes(b"damage")
    else:
        save_checkpoint(three_epochs.best, replace(state(1), training=None))
    mend_best(three_epochs, 2)
    best, _ = read_checkpoint(three_epochs.best)
    assert (best.epoch, best.model["weight"], best.training) == (2, good, None)


def test_a_best_that_is_lost_for_good_is_an_error(three_epochs: RunPaths) -> None:
    three_epochs.best.write_bytes(b"damage")
    three_epochs.epoch_checkpoint(2).unlink()
    with pytest.raises(CheckpointError, match=r"best_model.pth is missing or damaged, and epoch 2"):
        mend_best(three_epochs, 2)
