"""Going back to an earlier checkpoint sets aside what is later."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.engine.checkpoints.go_back import go_back
from human_edge_detection.engine.checkpoints.save_policy import Saver
from human_edge_detection.errors import StorageError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths


@pytest.fixture
def five_epochs(tmp_path: Path, tiny_config: ExperimentConfig) -> RunPaths:
    """Epochs 1 to 5, all kept; the fourth is the best."""
    paths = RunPaths(tmp_path / "run")
    saver = Saver(paths, keep_last=2, keep_every=1, minutes=10.0)
    for epoch in range(1, 6):
        weights = {"weight": torch.tensor([float(epoch)])}
        training = {"progress": {"epoch": epoch, "step": 10 * epoch}}
        saver.save_epoch(Checkpoint(tiny_config, weights, epoch, {}, "data", training), is_best=epoch == 4)
    paths.metrics.write_text("".join(json.dumps({"epoch": epoch}) + "\n" for epoch in range(1, 6)))
    paths.result.write_text("{}")
    return paths


def back(paths: RunPaths, epoch: int) -> None:
    given = paths.epoch_checkpoint(epoch)
    checkpoint, sha256 = read_checkpoint(given)
    go_back(paths, given, checkpoint, sha256)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


def test_later_checkpoints_the_best_and_metrics_lines_are_set_aside(five_epochs: RunPaths) -> None:
    back(five_epochs, 2)
    (aside,) = five_epochs.checkpoints.glob("set_aside_*")
    assert names(aside) == [
        "best_model.pth",
        "checkpoint_epoch_0003.pth",
        "checkpoint_epoch_0004.pth",
        "checkpoint_epoch_0005.pth",
        "latest.pth",
        "metrics.jsonl",
    ]
    assert [json.loads(line)["epoch"] for line in (aside / "metrics.jsonl").read_text().splitlines()] == [3, 4, 5]
    assert [five_epochs.epoch_of(path) for path in five_epochs.epoch_checkpoints()] == [1, 2]
    assert read_checkpoint(five_epochs.latest)[0].epoch == 2
    assert not five_epochs.result.exists()


def test_a_best_that_is_not_later_stays(five_epochs: RunPaths) -> None:
    back(five_epochs, 4)
    assert read_checkpoint(five_epochs.best)[0].epoch == 4
    (aside,) = five_epochs.checkpoints.glob("set_aside_*")
    assert "best_model.pth" not in names(aside)


def test_killed_in_between_it_is_done_again(five_epochs: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    rename: Callable[..., Path] = Path.replace
    moved: list[Path] = []

    def die_at_the_third(source: Path, target: Path) -> Path:
        moved.append(source)
        if len(moved) == 3:
            raise OSError("killed")
        return rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die_at_the_third)
        with pytest.raises(StorageError):
            back(five_epochs, 2)
    assert json.loads(five_epochs.resumed_from.read_text())["complete"] is False
    back(five_epochs, 2)
    assert json.loads(five_epochs.resumed_from.read_text())["complete"] is True
    assert [five_epochs.epoch_of(path) for path in five_epochs.epoch_checkpoints()] == [1, 2]
    kept = {name for aside in five_epochs.checkpoints.glob("set_aside_*") for name in names(aside)}
    assert {f"checkpoint_epoch_000{epoch}.pth" for epoch in (3, 4, 5)} <= kept


def test_nothing_later_leaves_all_as_it_is(five_epochs: RunPaths) -> None:
    back(five_epochs, 5)
    assert not list(five_epochs.checkpoints.glob("set_aside_*"))
    assert len(five_epochs.epoch_checkpoints()) == 5


def test_killed_anywhere_the_later_result_is_kept_and_not_taken_for_the_new_one(
    five_epochs: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    five_epochs.result.write_text("of five epochs")
    five_epochs.per_image.write_text("of five epochs")
    rename: Callable[..., Path] = Path.replace
    for _ in range(20):
        moved: list[Path] = []

        def die_at_the_second(source: Path, target: Path, moved: list[Path] = moved) -> Path:
            moved.append(source)
            if len(moved) == 2:
                raise OSError("killed")
            return rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", die_at_the_second)
            try:
                back(five_epochs, 2)
            except StorageError:
                continue
        break
    assert json.loads(five_epochs.resumed_from.read_text())["complete"] is True
    assert not five_epochs.result.exists()
    assert not five_epochs.per_image.exists()
    kept = {path.name for path in five_epochs.checkpoints.glob("set_aside_*/*")}
    assert {"result.json", "per_image.json", "checkpoint_epoch_0005.pth", "best_model.pth"} <= kept
