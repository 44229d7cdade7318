"""Images without labels in a training: only the teacher speaks about them, and a run that goes on finds them again."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from shutil import copy2

import cv2
import numpy as np
import pytest
import torch
from soft_label_runs import forbid_teachers, interrupted_after, write
from unlabelled_folders import write_images, write_results

from human_edge_detection.engine.build import build_model, read_splits
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.device import seed_everything
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.teaching import unlabelled as unlabelled_module
from human_edge_detection.engine.teaching.teacher import load_teacher
from human_edge_detection.engine.teaching.unlabelled import find_boxes, read_unlabelled, warn_of_weak_teacher
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError, ConfigError, DataError
from human_edge_detection.experiments.schema.data import UnlabelledConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

Train = Callable[..., RunResult]
OTHERS = 5
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "others", OTHERS)
    return tmp_path / "others"


@pytest.fixture
def mixed(distilled_config: ExperimentConfig, folder: Path, tmp_path: Path) -> ExperimentConfig:
    """Batches of one image, two in an update: many have no label, and some no person."""
    boxes = write_results(tmp_path / "boxes.json", [1, 2, 3])
    section = {"images": str(folder), "boxes": str(boxes), "confidence": 0.4}
    return derive(
        distilled_config,
        name="mixed",
        data={"unlabelled": section},
        training={"batch_size": 1, "accumulation_steps": 2},
    )


@pytest.fixture
def finder(tiny_config: ExperimentConfig, small_networks: None, tmp_path: Path) -> Path:
    """Checkpoint of a teacher with an untrained detector, which sees somebody everywhere, hardly sure."""
    seed_everything(1)
    config = derive(tiny_config, name="finder", model={"detector": {}})
    path = tmp_path / "finder.pth"
    save_checkpoint(path, Checkpoint(config, build_model(config.model).state_dict(), 0, {}, ""))
    return path


def epochs_of(paths: RunPaths) -> list[dict[str, float]]:
    return [json.loads(line) for line in paths.metrics.read_text().splitlines()]


def test_copies_of_test_images_do_not_teach(
    mixed: ExperimentConfig, folder: Path, tiny_coco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = sorted(file.name for file in folder.iterdir() if file.is_file())[0]
    (tmp_path / "test").mkdir()
    copy2(folder / name, tmp_path / "test" / name)
    pixels = cv2.imread(str(folder / name))
    assert pixels is not None
    image = {"id": 1, "file_name": name, "height": pixels.shape[0], "width": pixels.shape[1]}
    person = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 64, "bbox": [4, 4, 8, 8]}
    person["segmentation"] = [[4, 4, 12, 4, 12, 12, 4, 12]]
    annotations = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "test.json").write_text(json.dumps(annotations))
    paths = {"test_ann": str(tmp_path / "test.json"), "test_images": str(tmp_path / "test")}
    section = {"images": str(folder), "boxes": None}
    data = derive(mixed, name="tested", data={**paths, "unlabelled": section}).data
    found = read_unlabelled(data, read_splits(data, tmp_path, seed=0))
    assert found is not None
    assert len(found.people.images) == OTHERS - 1
    assert "1 of 5 images are test images, byte for byte" in caplog.text


def test_an_epoch_has_them_and_every_figure_of_the_truth_is_of_the_others(
    mixed: ExperimentConfig, train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paths = RunPaths(tmp_path / "run")
    result = train(mixed, paths)
    assert result.images == 2 * (8 + 4) and result.unlabelled is not None
    assert "an epoch has 12 images: 8 labelled, and 4 of the 5 without labels, with 3 persons in all" in caplog.text
    assert json.loads(paths.provenance.read_text())["sources"]["unlabelled"] == OTHERS
    training = read_checkpoint(paths.latest)[0].training
    assert training is not None
    assert training["unlabelled"] == result.unlabelled
    for epoch in epochs_of(paths):
        numbers = {name: value for name, value in epoch.items() if name.startswith("train/")}
        assert all(np.isfinite(value) for value in numbers.values())
        assert numbers["train/total"] == pytest.approx(numbers["train/hard"] + numbers["train/soft"])
        assert 0.0 < numbers["train/confident/main"] <= 1.0 and numbers["train/distill/main"] > 0.0


def test_a_mean_of_the_truth_is_over_the_updates_that_had_one(
    mixed: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student that does not learn has the same losses on the labelled images, whatever is beside them."""
    still = {"batch_size": 1, "accumulation_steps": 1, "learning_rate": 1e-12, "epochs": 1, "warmup_fraction": 0.0}
    frozen = derive(mixed, name="frozen", data={"augmentation": None}, training=still)
    monkeypatch.setattr(Trainer, "_set_student", lambda self: self.state.student.eval())
    alone = derive(frozen, name="alone", data={"unlabelled": None})
    figures = []
    for config in (frozen, alone):
        paths = RunPaths(tmp_path / config.name)
        train(config, paths)
        figures.append(epochs_of(paths)[0])
    for name in ("main/ce", "bg_fg/dice", "full_image/bce"):
        assert figures[0][f"train/{name}"] == pytest.approx(figures[1][f"train/{name}"], rel=1e-3), name


def test_a_detector_is_asked_once(
    finder: Path,
    folder: Path,
    tiny_config: ExperimentConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = tiny_config.data.model_copy(update={"unlabelled": UnlabelledConfig(images=str(folder))})
    unlabelled = read_unlabelled(data, read_splits(data, tmp_path, seed=0))
    assert unlabelled is not None
    teacher = load_teacher(finder, CPU)

    def found(min_score: float) -> list[list[list[float]]]:
        loading = Loading(0, False, 2)
        each = find_boxes(teacher, unlabelled.people, min_score=min_score, device=CPU, loading=loading)
        return [boxes.tolist() for boxes in each]

    boxes = found(0.0)
    assert len(boxes) == OTHERS and all(boxes)
    flat = np.concatenate([np.array(each) for each in boxes])
    assert (flat >= 0).all() and (flat <= [128, 96, 128, 96]).all() and flat[:, 2].max() > 96
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not any(found(1.0))
    assert "the teacher finds 0 persons on 0 of the" in caplog.records[-1].getMessage()
    assert caplog.records[-1].levelno == logging.WARNING
    monkeypatch.setattr(unlabelled_module, "_look", lambda *_: pytest.fail("it was asked again"))
    assert found(0.0) == boxes
    with pytest.raises(pytest.fail.Exception):
        found(0.5)


def test_a_teacher_without_a_detector_is_refused(mixed: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    asking = derive(mixed, name="asking", data={"unlabelled": {"boxes": "teacher"}})
    with pytest.raises(ConfigError, match=r"data.unlabelled.boxes: the teacher .*tiny_teacher.* has no detector"):
        train(asking, RunPaths(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_weak_teacher_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_weak_teacher(0.55, 4, 8)
    warn_of_weak_teacher(None, 4, 8)
    assert not caplog.records
    warn_of_weak_teacher(0.3456, 4, 8)
    assert "mIoU 0.3456 on the validation images, below 0.50, and it alone speaks about 4 of the 12" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks")
def test_a_run_that_was_killed_goes_on_with_the_same_bits_and_refuses_other_images(
    mixed: ExperimentConfig, finder: Path, folder: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = derive(
        mixed,
        name="own",
        data={"unlabelled": {"boxes": "teacher", "min_score": 0.0}},
        distillation={"teacher_checkpoint": str(finder), "terms": [{"kind": "kl"}, {"kind": "dkd"}, {"kind": "bpkd"}]},
        model={"detector": {}},
    )
    straight, stopped = RunPaths(tmp_path / "straight"), RunPaths(tmp_path / "stopped")
    train(own, straight)
    for steps in (2, 7):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Trainer, "train_step", interrupted_after(steps, Trainer.train_step))
            train(own, stopped)
    content = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes((folder / "003.png").read_bytes())
    with pytest.raises(CheckpointError, match="the images without labels, or the file of boxes on them, have changed"):
        train(own, stopped)
    (folder / "001.png").write_bytes(content)
    train(own, stopped)
    assert stopped.metrics.read_text() == straight.metrics.read_text()
    one, other = (read_checkpoint(paths.latest)[0].model for paths in (stopped, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks")
def test_stored_soft_labels_are_to_them_too(
    mixed: ExperimentConfig, finder: Path, folder: Path, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = derive(
        mixed,
        name="stored",
        data={"cache_views": 1, "unlabelled": {"boxes": "teacher", "min_score": 0.0}},
        distillation={"teacher_checkpoint": str(finder), "soft_labels": str(tmp_path / "labels")},
    )
    labels = write(stored, tmp_path)
    assert labels.metadata.images == 8 + OTHERS
    asking = derive(stored, name="asking", distillation={"soft_labels": None})
    asked = train(asking, RunPaths(tmp_path / "asked"))
    forbid_teachers(monkeypatch)
    read = train(stored, RunPaths(tmp_path / "read"))
    assert read.unlabelled == asked.unlabelled and read.images == asked.images
    first, second = (epochs_of(RunPaths(tmp_path / name))[0] for name in ("asked", "read"))
    assert second["train/distill/main"] == pytest.approx(first["train/distill/main"], rel=0.05)
    write_images(folder, seed=8)
    with pytest.raises(ConfigError, match="unlabelled is"):
        train(stored, RunPaths(tmp_path / "other"))
    write_images(folder)
    (tmp_path / "labels" / "unlabelled_boxes.json").write_text("[]")
    with pytest.raises(DataError, match=r"unlabelled_boxes.json: damaged"):
        train(stored, RunPaths(tmp_path / "damaged"))
