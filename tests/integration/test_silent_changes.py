"""What changes between two starts of a run is said: images, versions, a damaged best checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.engine.session import execute
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

pytestmark = pytest.mark.usefixtures("small_networks")
Train = Callable[..., RunResult]


class Killed(BaseException):
    """In place of kill -9."""


@pytest.fixture
def data(tiny_coco: Path, tmp_path: Path) -> Path:
    """A data set of one's own, to be spoilt."""
    return Path(shutil.copytree(tiny_coco, tmp_path / "data"))


@pytest.fixture
def config(tiny_config: ExperimentConfig, data: Path) -> ExperimentConfig:
    sizes = {"image_size": [32, 32], "roi_size": [8, 8], "mask_size": [16, 12]}
    return derive(tiny_config, name="run", data={"root": str(data)}, model=sizes, training={"batch_size": 4})


def put_noise(folder: Path) -> None:
    for number, image in enumerate(sorted(folder.iterdir())):
        noise = np.random.default_rng(number).integers(0, 256, (96, 128, 3), np.uint8)
        cv2.imwrite(str(image), noise)


def killed(train: Train, config: ExperimentConfig, paths: RunPaths) -> None:
    """Trains an epoch and is killed within the next."""
    train_step = Trainer.train_step

    def stopping(self: Trainer, group: Any) -> dict[str, float]:
        if self.progress.step == 2:
            raise Killed
        return train_step(self, group)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "train_step", stopping)
        train(config, paths)


def test_a_run_is_not_continued_on_other_images(
    config: ExperimentConfig, data: Path, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    killed(train, config, paths)
    saved = shutil.copytree(data / "images", tmp_path / "saved")
    for splits in (["train"], ["val"], ["train", "val"]):
        for split in splits:
            put_noise(data / "images" / split)
        named = " and ".join({"train": "training", "val": "validation"}[split] for split in splits)
        with pytest.raises(CheckpointError, match=f"the {named} images have changed since this run began") as refused:
            train(config, paths)
        assert "\n" not in str(refused.value)
        shutil.copytree(saved, data / "images", dirs_exist_ok=True)
    result = train(config, paths)
    assert result.epochs == 2
    assert None not in (result.training_images, result.validation_images)
    assert result.training_images != result.validation_images


def test_a_run_of_an_older_version_does_not_say_which_images_it_saw_and_goes_on(
    config: ExperimentConfig, data: Path, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    killed(train, config, paths)
    for file in (paths.latest, paths.best):
        content = vars(read_checkpoint(file)[0])
        if content["training"] is not None:
            content["training"] = {k: v for k, v in content["training"].items() if k != "training_images"}
        save_checkpoint(file, type(read_checkpoint(file)[0])(**content | {"validation_images": None}))
    paths.epoch_checkpoint(1).unlink()
    put_noise(data / "images" / "train")
    assert train(config, paths).epochs == 2


def test_each_start_is_on_record_and_one_with_other_versions_is_warned_about(
    config: ExperimentConfig,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths = RunPaths(tmp_path / "run")
    killed(train, config, paths)
    killed(train, config, paths)
    assert "goes on with other than before" not in caplog.text
    monkeypatch.setattr(execute, "processor_name", lambda: "another one")
    monkeypatch.setattr(execute, "version", lambda name: "0.0" if name == "torch" else "1.0")
    train(config, paths)
    (warning,) = [record.getMessage() for record in caplog.records if "goes on with other" in record.getMessage()]
    assert " -> 0.0" in warning
    assert " -> another one" in warning
    assert warning in paths.training_log.read_text()
    provenance = json.loads(paths.provenance.read_text())
    assert [len(one["starts"]) for one in (*provenance["earlier"], provenance)] == [2, 1]
    assert provenance["processor"] == "another one"
    assert provenance["earlier"][0]["processor"] != "another one"


def test_a_damaged_best_checkpoint_is_made_anew_by_the_same_command(
    config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    result, whole = train(config, paths), paths.best.read_bytes()
    assert is_finished(paths)
    paths.best.write_bytes(b"garbage")
    assert not is_finished(paths)
    assert train(config, paths) == result
    assert is_finished(paths)
    assert paths.best.with_name("bad_best_model.pth").read_bytes() == b"garbage"
    assert len(paths.best.read_bytes()) == len(whole)
