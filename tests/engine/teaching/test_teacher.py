import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.teaching.teacher import check_teacher, load_teacher
from human_edge_detection.errors import CheckpointError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

CPU = torch.device("cpu")
Train = Callable[..., RunResult]


@pytest.fixture(scope="module")
def recorded(trained_teacher: RunPaths) -> Checkpoint:
    return read_checkpoint(trained_teacher.best)[0]


@pytest.fixture(scope="module")
def people(tiny_coco: Path) -> AnnotationSet:
    return read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")


def check(path: Path, people: AnnotationSet) -> Metrics:
    return check_teacher(load_teacher(path, CPU), people, device=CPU, precision="fp32", loading=Loading(0, False, 2))


def saved(path: Path, checkpoint: Checkpoint) -> Path:
    save_checkpoint(path, checkpoint)
    return path


def test_a_teacher_is_built_from_its_own_checkpoint(trained_teacher: RunPaths, recorded: Checkpoint) -> None:
    teacher = load_teacher(trained_teacher.best, CPU)
    model = build_model(recorded.config.model)
    model.load_state_dict(recorded.model)
    images, rois = torch.rand(1, 3, 96, 96), torch.tensor([[0.0, 0.1, 0.1, 0.9, 0.8]])
    with torch.no_grad():
        expected = model.eval()(images, rois).logits
    torch.testing.assert_close(teacher.frozen.model(images, rois).logits, expected, atol=1e-4, rtol=1e-4)
    assert not teacher.frozen.model.training
    assert teacher.frozen.image_size == (96, 96)
    assert teacher.sha256 == read_checkpoint(trained_teacher.best)[1]
    assert teacher.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_teacher_that_scores_as_recorded_is_taken(
    trained_teacher: RunPaths, people: AnnotationSet, recorded: Checkpoint
) -> None:
    assert check(trained_teacher.best, people)["miou"] == pytest.approx(recorded.metrics["miou"], abs=1e-3)


def test_a_teacher_worse_than_its_record_is_refused(
    people: AnnotationSet, recorded: Checkpoint, tmp_path: Path
) -> None:
    miou = recorded.metrics["miou"]
    assert miou is not None
    boasting = saved(tmp_path / "a.pth", replace(recorded, metrics={"miou": miou + 0.05}))
    with pytest.raises(
        TrainingError, match=r"teacher tiny_teacher: mIoU .* its checkpoint recorded .* train the teacher"
    ):
        check(boasting, people)


def test_a_teacher_from_other_data_is_only_reported(
    people: AnnotationSet, recorded: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = saved(tmp_path / "a.pth", replace(recorded, metrics={"miou": 0.99}, data_fingerprint="other"))
    with caplog.at_level(logging.INFO):
        check(elsewhere, people)
    assert "trained on others" in caplog.text


def test_a_teacher_is_not_blamed_for_images_that_have_changed(
    people: AnnotationSet, recorded: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert recorded.validation_images is not None
    boasting = saved(tmp_path / "a.pth", replace(recorded, metrics={"miou": 1.0}))
    check(boasting, replace(people, images_fingerprint="other"))
    assert "have changed since its checkpoint recorded 1.0000: the two scores say nothing about" in caplog.text
    with pytest.raises(TrainingError, match="is not the model it claims to be, train the teacher again"):
        check(boasting, replace(people, images_fingerprint=recorded.validation_images))
    older = saved(tmp_path / "b.pth", replace(recorded, metrics={"miou": 1.0}, validation_images=None))
    with pytest.raises(TrainingError, match="or these images have changed since; it does not say which it saw"):
        check(older, replace(people, images_fingerprint="other"))


def test_a_poor_teacher_is_warned_about(
    people: AnnotationSet, recorded: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    random = build_model(recorded.config.model).state_dict()
    path = saved(tmp_path / "a.pth", Checkpoint(recorded.config, random, 0, {}, people.fingerprint))
    with caplog.at_level(logging.WARNING):
        check(path, people)
    assert "teacher tiny_teacher is poor" in caplog.text


def without_head(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, config=derive(checkpoint.config, name="tiny_peopleseg", model={"head": "none"}))


def of_another_encoder(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, config=derive(checkpoint.config, name="other", model={"encoder": "mobilenet_v2"}))


def with_a_tensor_missing(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, model=dict(list(checkpoint.model.items())[:-1]))


BAD_TEACHERS = {
    "no roi head": (without_head, "tiny_peopleseg has no roi head and nothing to teach"),
    "another encoder": (of_another_encoder, "not a whole other: "),
    "incomplete": (with_a_tensor_missing, "not a whole tiny_teacher: 1 tensors missing"),
}


@pytest.mark.parametrize("kind", [*BAD_TEACHERS, "truncated", "missing", "worse than its record"])
def test_a_bad_teacher_stops_a_run_before_anything_is_written(
    kind: str, recorded: Checkpoint, distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    path, words = tmp_path / "teacher.pth", str(tmp_path / "teacher.pth")
    if kind in BAD_TEACHERS:
        change, words = BAD_TEACHERS[kind]
        saved(path, change(recorded))
    elif kind == "truncated":
        saved(path, recorded)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "worse than its record":
        words = "train the teacher again"
        saved(path, replace(recorded, metrics={"miou": 1.0}))
    config = derive(distilled_config, name="student", distillation={"teacher_checkpoint": str(path)})
    with pytest.raises((CheckpointError, TrainingError)) as caught:
        train(config, RunPaths(tmp_path / "experiments" / "student"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "experiments").exists()
