"""A model file is asked about each image once, and what it says is kept as files that anybody could have written."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from constant_models import constant_model
from foreign_teachers import PERSON_MAP, bright_persons
from small_exports import SAID, small_export
from soft_label_runs import interrupted_after

from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.engine.teaching.external import ask as ask_module
from human_edge_detection.engine.teaching.external.ask import ask_teacher
from human_edge_detection.engine.teaching.external.read_answers import read_answers
from human_edge_detection.errors import TrainingError
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_prediction.models.foreign import ForeignModel

INSTANCES = {
    "kind": "instances",
    "input": {"size": [4, 6]},
    "output": {
        "boxes": {"name": "boxes"},
        "scores": {"name": "scores"},
        "masks": {"name": "found"},
        "min_score": 0.5,
    },
}


@pytest.fixture
def people(tiny_coco: Path) -> AnnotationSet:
    return read_annotations(tiny_coco / "annotations" / "instances_val.json", tiny_coco / "images" / "val")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def teacher(path: Path, external: object = None) -> DistillationConfig:
    return DistillationConfig.model_validate({"teacher_checkpoint": str(path), "external": external})


def grey(file: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)) / 65_535


def test_a_map_for_each_image_of_its_own_size(people: AnnotationSet, tmp_path: Path) -> None:
    folder = ask_teacher(teacher(bright_persons(tmp_path / "model.onnx"), PERSON_MAP), people)
    assert sorted(file.name for file in folder.iterdir()) == [f"{name}.png" for name in people.images.file_names]
    for record in people.images:
        image = np.asarray(cv2.imread(str(people.images_dir / record.file_name)))
        found = grey(folder / f"{record.file_name}.png")
        assert found.shape == (record.height, record.width)
        is_bright = image.mean(axis=2) > 140
        assert ((found > 0.5) != is_bright).mean() < 0.02
    assert read_answers(folder, people).of(0) is not None


def test_nothing_is_asked_twice(
    people: AnnotationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = teacher(bright_persons(tmp_path / "model.onnx"), PERSON_MAP)
    monkeypatch.setattr(ForeignModel, "predict", interrupted_after(2, ForeignModel.predict))
    with pytest.raises(KeyboardInterrupt):
        ask_teacher(config, people)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ForeignModel, "predict", interrupted_after(len(people.images) - 2, ForeignModel.predict))
    folder = ask_teacher(config, people)
    monkeypatch.setattr(ask_module, "open_external_teacher", lambda *_: pytest.fail("the model was opened"))
    assert ask_teacher(config, people) == folder
    with pytest.raises(pytest.fail.Exception, match="was opened"):  # what is said of it has changed
        ask_teacher(teacher(tmp_path / "model.onnx", {**PERSON_MAP, "input": {"colors": "BGR"}}), people)


def test_an_answer_that_a_cleaner_took_is_asked_for_anew(
    people: AnnotationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = teacher(bright_persons(tmp_path / "model.onnx"), PERSON_MAP)
    folder = ask_teacher(config, people)
    (gone, *_) = sorted(folder.iterdir())
    gone.unlink()
    monkeypatch.setattr(ForeignModel, "predict", interrupted_after(1, ForeignModel.predict))  # for that image alone
    assert ask_teacher(config, people) == folder
    assert gone.is_file()
    assert "some of its answers are gone" in caplog.text


def test_an_export_of_ours_is_asked_about_the_true_boxes(people: AnnotationSet, tmp_path: Path) -> None:
    folder = ask_teacher(teacher(small_export(tmp_path / "best.onnx", metadata=SAID)), people)
    for record in people.images:
        for person in record.persons:
            found = grey(folder / f"{record.file_name}_{person.id}.png")
            x1, y1, x2, y2 = (int(side) for side in np.round(person.box))
            outside = found.copy()
            outside[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = 0.0
            assert found.max() > 0.0
            assert outside.max() == 0.0
    assert len(list(folder.iterdir())) == len(people.images) + people.images.person_counts.sum()


def test_found_persons_are_results_of_coco(people: AnnotationSet, tmp_path: Path) -> None:
    masks = np.zeros((2, 4, 6), np.float32)
    masks[0, :2, :3] = 1.0
    masks[1] = 1.0
    outputs = {
        "boxes": np.array([[[0, 0, 3, 2], [0, 0, 6, 4]]], np.float32),
        "scores": np.array([[0.9, 0.2]], np.float32),
        "found": masks,
    }
    file = ask_teacher(teacher(constant_model(tmp_path / "model.onnx", outputs), INSTANCES), people)
    results = json.loads(file.read_text())
    assert [one["image_id"] for one in results] == people.images.ids.tolist()  # who scores less is nobody
    assert {round(one["score"], 3) for one in results} == {0.9}
    assert read_answers(file, people).has_instances


def test_numbers_that_are_no_probabilities_are_named(people: AnnotationSet, tmp_path: Path) -> None:
    values = np.full((1, 1, 4, 6), np.nan, np.float32)
    described = {"kind": "person_map", "output": {"values": "logits"}}
    model = constant_model(tmp_path / "model.onnx", {"map": values})
    with pytest.raises(TrainingError, match=r"model\.onnx: a probability is not finite"):
        ask_teacher(teacher(model, described), people)
