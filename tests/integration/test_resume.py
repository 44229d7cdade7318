"""A run that was interrupted or killed anywhere and then goes on ends in the same bits as one that was not."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine.checkpoints import save_policy as saving_module
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.evaluation.evaluate import evaluate
from human_edge_detection.engine.training import trainer as trainer_module
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

pytestmark = pytest.mark.usefixtures("small_networks")

Train = Callable[..., RunResult]
STEPS_AN_EPOCH = 4


class Killed(BaseException):
    """In place of kill -9."""


@pytest.fixture(scope="module")
def config(tiny_config: ExperimentConfig) -> ExperimentConfig:
    """Two epochs with all that has a state: moving average, augmentation, optimizer."""
    sizes = {"image_size": [32, 32], "roi_size": [8, 8], "mask_size": [16, 12]}
    return derive(tiny_config, name="resumed", model=sizes, training={"ema": {"decay": 0.9}})


@pytest.fixture(scope="module")
def straight(config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = RunPaths(tmp_path_factory.mktemp("straight") / "run")
    train(config, paths)
    return paths


def stopped(stop: Callable[[pytest.MonkeyPatch], None], train: Train, config: ExperimentConfig, root: Path) -> RunPaths:
    """A run below ``root`` that ``stop`` ended early."""
    paths = RunPaths(root / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises((KeyboardInterrupt, Killed)):
        stop(patch)
        train(config, paths)
    assert not paths.result.exists()
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
    for overview in ("metrics", "results", "progress"):
        assert getattr(paths, overview).read_bytes() == getattr(straight, overview).read_bytes(), overview
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
    trainer.interruption.requested = signal.SIGINT


def kill(_: Trainer) -> None:
    raise Killed


def ask_in_validation(patch: pytest.MonkeyPatch) -> None:
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


def saving(name: str) -> Callable[..., bool]:
    return lambda path, _: path.name == name


STOPS = {
    "killed before the first update": stop_before_step(1, kill),
    "killed within the first epoch": stop_before_step(3, kill),
    "killed as the first metrics are written": kill_at(trainer_module, "write_metrics", lambda *_: True),
    "killed as the first best is saved": kill_at(saving_module, "save_checkpoint", saving("best_model.pth")),
    "killed as the first epoch is saved": kill_at(
        saving_module, "save_checkpoint", saving("checkpoint_epoch_0001.pth")
    ),
    "killed between two epochs": stop_before_step(STEPS_AN_EPOCH + 1, kill),
    "asked within an epoch": stop_before_step(STEPS_AN_EPOCH + 2, ask),
    "asked at the last update of an epoch": stop_before_step(STEPS_AN_EPOCH, ask),
    "asked in the validation": ask_in_validation,
    "killed as the second metrics are written": kill_at(
        trainer_module, "write_metrics", lambda _, history: len(history) == 2
    ),
    "killed as the second epoch is saved": kill_at(
        saving_module, "save_checkpoint", saving("checkpoint_epoch_0002.pth")
    ),
    "killed as it becomes the latest": kill_at(saving_module, "link_atomically", saving("checkpoint_epoch_0002.pth")),
    "killed after the last epoch": kill_at(Trainer, "_draw", lambda self, _: self.progress.epoch == 2),
}


SAMPLE = frozenset({"killed within the first epoch", "killed between two epochs", "asked within an epoch"})


@pytest.mark.parametrize(
    "stop", [stop if stop in SAMPLE else pytest.param(stop, marks=pytest.mark.slow) for stop in STOPS]
)
def test_a_run_goes_on_to_the_same_bits(
    stop: str, config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = stopped(STOPS[stop], train, config, tmp_path)
    train(config, paths)
    assert_same_run(paths, straight)


def test_four_distilled_epochs_are_two_and_two(
    distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    config = derive(distilled_config, name="four", training={"epochs": 4, "accumulation_steps": 2})
    straight = RunPaths(tmp_path / "straight")
    train(config, straight)
    paths = stopped(stop_before_step(STEPS_AN_EPOCH + 1, kill), train, config, tmp_path)
    assert read_checkpoint(paths.latest)[0].epoch == 2
    train(config, paths)
    assert_same_run(paths, straight)


def test_a_run_that_was_stopped_says_so_and_goes_on_twice(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    for step in (2, 7):
        paths = stopped(stop_before_step(step, ask), train, config, tmp_path)
        status = json.loads(paths.status.read_text())
        assert (status["state"], status["step"], status["error"]) == ("interrupted", step, None)
    train(config, paths)
    assert_same_run(paths, straight)


def test_a_damaged_latest_checkpoint_costs_an_epoch_not_the_run(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = stopped(stop_before_step(STEPS_AN_EPOCH + 2, ask), train, config, tmp_path)
    paths.latest.write_bytes(b"damage")
    train(config, paths)
    assert_same_run(paths, straight)


def test_an_older_checkpoint_can_be_named(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = stopped(stop_before_step(STEPS_AN_EPOCH + 2, ask), train, config, tmp_path)
    train(config, paths, resume=paths.epoch_checkpoint(1))
    assert_same_run(paths, straight)


def test_another_teacher_is_refused(
    distilled_config: ExperimentConfig, trained_teacher: RunPaths, train: Train, tmp_path: Path
) -> None:
    paths = stopped(stop_before_step(2, ask), train, distilled_config, tmp_path)
    before = {file: file.read_bytes() for file in paths.checkpoints.iterdir()}
    teacher = {"teacher_checkpoint": str(trained_teacher.untrained)}
    with pytest.raises(
        CheckpointError, match=r"was taught by another teacher \(sha256 .* now .*give that teacher again"
    ):
        train(derive(distilled_config, name="other", distillation=teacher), paths)
    assert {file: file.read_bytes() for file in paths.checkpoints.iterdir()} == before


def test_weights_alone_cannot_be_resumed(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="holds weights only; use --init_from"):
        train(config, RunPaths(tmp_path / "run"), resume=straight.best)
    assert not list(tmp_path.iterdir())


def test_a_run_on_some_of_the_images_goes_on_with_the_same_ones(
    config: ExperimentConfig, straight: RunPaths, train: Train, tmp_path: Path
) -> None:
    part = derive(config, name="part", data={"max_train_images": 5})
    whole = RunPaths(tmp_path / "whole" / "run")
    result = train(part, whole)
    assert result.images == 2 * 5
    fingerprint = RunResult.model_validate_json(straight.result.read_bytes()).training_fingerprint
    assert result.training_fingerprint not in (None, fingerprint)
    paths = stopped(stop_before_step(5, kill), train, part, tmp_path)
    train(part, paths)
    assert_same_run(paths, whole)
