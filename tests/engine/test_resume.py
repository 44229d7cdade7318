"""A run that was interrupted or killed anywhere and then goes on ends in the same bits as one that was not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine import trainer as trainer_module
from human_edge_detection.engine.checkpoint import read_checkpoint
from human_edge_detection.engine.trainer import Trainer
from human_edge_detection.engine.writers import RunWriters
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.result import RunResult
from human_edge_detection.experiments.schema import ExperimentConfig, derive

Train = Callable[..., RunResult]
EPOCHS, STEPS_AN_EPOCH = 4, 4


class Killed(BaseException):
    """In place of kill -9."""


@pytest.fixture(scope="module")
def config(distilled_config: ExperimentConfig) -> ExperimentConfig:
    """Everything that has a state: distillation, moving average, augmentation."""
    return derive(distilled_config, name="resumed", training={"epochs": EPOCHS, "ema": {"decay": 0.9}})


@pytest.fixture(scope="module")
def straight(config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = RunPaths(tmp_path_factory.mktemp("straight") / "run")
    train(config, paths)
    return paths


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: leaf for part, below in value.items() for key, leaf in leaves(below, f"{name}/{part}").items()}
    return {name: value}


def assert_same_run(paths: RunPaths, straight: RunPaths) -> None:
    """Weights, moving average, optimizer and record, bit by bit; only the time may differ."""
    for file in ("latest", "best"):
        a, b = (leaves(vars(read_checkpoint(getattr(run, file))[0])) for run in (paths, straight))
        assert a.keys() == b.keys()
        for name in a.keys() - {"/training/progress/seconds"}:
            assert torch.equal(a[name], b[name]) if isinstance(a[name], torch.Tensor) else a[name] == b[name], name
    assert paths.metrics.read_text() == straight.metrics.read_text()
    results = [json.loads(run.result.read_text()) for run in (paths, straight)]
    for result in results:
        for name in ("seconds", "images_per_second", "best_checkpoint", "run_name"):
            result.pop(name)
    assert results[0] == results[1]


def stop_before_step(number: int, action: Callable[[Trainer], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """Patches the trainer: ``action`` when update ``number`` (from 1, of the whole run) is about to begin."""

    def install(patch: pytest.MonkeyPatch) -> None:
        train_step = Trainer.train_step

        def stopping(self: Trainer, group: Any) -> dict[str, float]:
            if self.progress.step + 1 == number:
                action(self)
            return train_step(self, group)

        patch.setattr(Trainer, "train_step", stopping)

    return install


def ask(trainer: Trainer) -> None:
    trainer.interruption.requested = True


def kill(_: Trainer) -> None:
    raise Killed


def ask_in_validation(patch: pytest.MonkeyPatch) -> None:
    evaluate = trainer_module.evaluate

    def stopping(*args: Any, **options: Any) -> Any:
        def after_batch() -> None:
            raise KeyboardInterrupt

        return evaluate(*args, **options | {"after_batch": after_batch})

    patch.setattr(trainer_module, "evaluate", stopping)


def kill_at(owner: Any, name: str, when: Callable[..., bool]) -> Callable[[pytest.MonkeyPatch], None]:
    """Patches ``owner.name``: the first call for which ``when(*args)`` holds kills instead."""

    def install(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)

        def killing(*args: Any, **options: Any) -> Any:
            if when(*args):
                raise Killed
            return original(*args, **options)

        patch.setattr(owner, name, killing)

    return install


STOPS = {
    "killed before the first update": stop_before_step(1, kill),
    "killed within the first epoch": stop_before_step(3, kill),
    "killed while the first epoch is saved": kill_at(
        trainer_module, "save_checkpoint", lambda path, _: path.name == "checkpoint_epoch_0001.pth"
    ),
    "killed between two epochs": stop_before_step(2 * STEPS_AN_EPOCH + 1, kill),
    "asked within an epoch": stop_before_step(2 * STEPS_AN_EPOCH + 2, ask),
    "asked at the last update of an epoch": stop_before_step(2 * STEPS_AN_EPOCH, ask),
    "asked in the validation": ask_in_validation,
    "killed before the metrics are written": kill_at(
        RunWriters, "epoch", lambda _, record, step: record["epoch"] == 2
    ),
    "killed before the best is saved": kill_at(
        trainer_module, "save_checkpoint", lambda path, checkpoint: checkpoint.epoch == 2
    ),
    "killed before an epoch is saved": kill_at(
        trainer_module, "save_checkpoint", lambda path, _: path.name == "checkpoint_epoch_0002.pth"
    ),
    "killed before it is the latest": kill_at(
        trainer_module, "publish_as", lambda path, _: path.name == "checkpoint_epoch_0002.pth"
    ),
    "killed after the last epoch": kill_at(
        trainer_module, "publish_as", lambda path, _: path.name == f"checkpoint_epoch_{EPOCHS:04d}.pth"
    ),
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_run_goes_on_to_the_same_bits(
    stop: str, config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises((KeyboardInterrupt, Killed)):
        STOPS[stop](patch)
        train(config, paths)
    assert not paths.result.exists()
    train(config, paths)
    assert_same_run(paths, straight)


def test_it_goes_on_twice(config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    for step in (2, 7):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop_before_step(step, ask)(patch)
            train(config, paths)
        status = json.loads(paths.status.read_text())
        assert (status["state"], status["step"], status["error"]) == ("interrupted", step, None)
    train(config, paths)
    assert_same_run(paths, straight)


def test_a_damaged_latest_checkpoint_costs_an_epoch_not_the_run(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        stop_before_step(3 * STEPS_AN_EPOCH, kill)(patch)
        train(config, paths)
    paths.latest.write_bytes(b"damage")
    train(config, paths)
    assert_same_run(paths, straight)


def test_an_older_checkpoint_can_be_named(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        stop_before_step(2 * STEPS_AN_EPOCH + 1, kill)(patch)
        train(config, paths)
    train(config, paths, resume=paths.epoch_checkpoint(1))
    assert_same_run(paths, straight)


def test_another_teacher_is_refused(
    config: ExperimentConfig, straight: RunPaths, trained_teacher: RunPaths, train: Train
) -> None:
    before = {file: file.read_bytes() for file in straight.checkpoints.iterdir()}
    other = str(trained_teacher.untrained)
    changed = derive(config, name=config.name, distillation={"teacher_checkpoint": other})
    with pytest.raises(CheckpointError, match=r"was taught by another teacher \(sha256 .* now .*give that teacher again"):
        train(changed, straight)
    assert {file: file.read_bytes() for file in straight.checkpoints.iterdir()} == before


def test_weights_alone_cannot_be_resumed(config: ExperimentConfig, straight: RunPaths, train: Train) -> None:
    with pytest.raises(CheckpointError, match="holds weights only; use --init_from"):
        train(config, straight, resume=straight.best)
