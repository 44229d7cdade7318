"""A teacher that is not ours: a model file is not run in training; answers in files are measured where no doubt is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from external_answers import Results, true_results, write_maps, write_results
from foreign_teachers import PERSON_MAP, bright_persons
from soft_label_runs import batches_of, trainer_of, write

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.engine.build import Splits
from human_edge_detection.engine.teaching.external import ask as ask_module
from human_edge_detection.engine.teaching.external.teacher import answers_as_teacher
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult


@pytest.fixture
def alone(tiny_config: ExperimentConfig, tmp_path: Path) -> ExperimentConfig:
    return derive(tiny_config, name="alone", distillation=_taught_by(bright_persons(tmp_path / "bright.onnx")))


def _taught_by(path: Path, **more: Any) -> dict[str, Any]:
    return {"teacher_checkpoint": str(path), "external": PERSON_MAP, **more}


def test_it_teaches_a_run_and_its_result_says_so(
    alone: ExperimentConfig, train: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunPaths(tmp_path / "run")
    result = train(derive(alone, name="alone", training={"epochs": 1}), run)
    assert (result.teacher_experiment, result.teacher_kind) == ("bright.onnx", "person_map")
    assert result.teacher_sha256 == file_sha256(tmp_path / "bright.onnx")
    assert result.teacher_miou is None  # it knows no single persons, so there is no share of the teacher's score
    assert result.teacher_full_image_iou is not None
    assert result.teacher_full_image_iou > 0.9
    assert result.last_soft_loss is not None
    assert result.last_soft_loss > 0.0
    monkeypatch.setattr(ask_module, "open_external_teacher", lambda *_: pytest.fail("asked again"))
    train(alone, run)  # on to the second epoch


def test_stored_or_not_it_says_the_same(alone: ExperimentConfig, tmp_path: Path) -> None:
    views = derive(alone, name="views", data={"cache_views": 2})
    labels = {"soft_labels": str(tmp_path / "labels")}
    stored = derive(views, name="stored", distillation=labels)
    metadata = write(stored, tmp_path).metadata
    key = metadata.key
    assert metadata.external is not None
    assert metadata.external.source == str(tmp_path / "bright.onnx")
    assert key.teacher_sha256 is None
    assert key.external == file_sha256(tmp_path / "bright.onnx")
    for one, other in zip(
        batches_of(trainer_of(views, tmp_path)), batches_of(trainer_of(stored, tmp_path)), strict=True
    ):
        assert one.soft_labels is not None
        assert other.soft_labels is not None
        assert one.soft_labels.aux.keys() == other.soft_labels.aux.keys()
        for head, said in one.soft_labels.aux.items():
            assert torch.equal(said.nan_to_num(99.0), other.soft_labels.aux[head].nan_to_num(99.0))


def test_beside_a_teacher_of_our_own_the_mean_of_both_teaches(
    alone: ExperimentConfig, trained_teacher: RunPaths, tmp_path: Path
) -> None:
    both = derive(
        alone,
        name="both",
        distillation={
            "teacher_checkpoint": str(tmp_path / "bright.onnx"),
            "more_teacher_checkpoints": [str(trained_teacher.best)],
        },
    )
    trainer = trainer_of(both, tmp_path)
    distiller = trainer.parts.distiller
    assert distiller is not None
    assert distiller.teacher is not None
    assert distiller.record.experiment == "tiny_teacher"
    assert trainer.parts.origin.teacher_sha256 == "+".join(
        str(file_sha256(path)) for path in (trained_teacher.best, tmp_path / "bright.onnx")
    )
    batch = next(batches_of(trainer)).to(torch.device("cpu"))
    assert batch.soft_labels is not None
    together = distiller.ask(batch)
    own = distiller.teacher.predict_batch(batch, mask_size=both.model.mask_size)
    assert together is not None
    assert torch.equal(together.logits, own.logits)  # of which the map of persons says nothing
    said = batch.soft_labels.aux["full_image_logits"]
    mean = (said.sigmoid() + own.aux["full_image_logits"].sigmoid()) / 2
    heard = ~said.isnan()
    found = together.aux["full_image_logits"]
    assert torch.allclose(found.sigmoid()[heard], mean[heard], atol=1e-4)
    assert torch.equal(found[~heard], own.aux["full_image_logits"][~heard])
    assert heard.any()
    assert not heard.all()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """Drawn images, of which those of both splits have the ids 1, 2, ..., and names of their own."""
    root = tmp_path_factory.mktemp("drawn")
    write_drawn_data(root, train_images=2, val_images=2, image_size=(96, 96))
    return splits_in(root)


def splits_in(root: Path) -> Splits:
    train, val, *_ = find_splits(root)
    return Splits(read_annotations(*train), read_annotations(*val))


def by_name(people: AnnotationSet) -> Results:
    names = dict(zip(people.images.ids.tolist(), people.images.file_names, strict=True))
    return [{**entry, "image_id": names[entry["image_id"]]} for entry in true_results(people)]


@pytest.mark.parametrize("is_folder", [True, False])
def test_answers_by_name_to_both_splits_are_measured(drawn: Splits, is_folder: bool, tmp_path: Path) -> None:
    if is_folder:
        source = write_maps(tmp_path, drawn.train)
        write_maps(source, drawn.val)
    else:
        source = write_results(tmp_path / "r.json", by_name(drawn.train) + by_name(drawn.val))
    teacher = answers_as_teacher(source, drawn)
    assert teacher.val is not None
    assert teacher.val.people is drawn.val
    assert all(teacher.val.answers.of(index) is not None for index in range(len(drawn.val.images)))


def test_answers_that_may_be_to_other_images_are_not_measured(
    drawn: Splits, tiny_coco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    foreign = {**true_results(drawn.train)[0], "image_id": 999}
    mixed = [*true_results(drawn.train), *by_name(drawn.val)]
    gaps = [entry for entry in by_name(drawn.val) if entry["image_id"] == drawn.val.images.file_names[0]]
    namesakes = splits_in(tiny_coco)
    shared = write_maps(tmp_path / "shared", namesakes.train)
    (shared / "999999.png").write_bytes(next(shared.iterdir()).read_bytes())
    for name, source, splits, reason in (
        ("train", true_results(drawn.train), drawn, "it has answers to training images alone"),
        ("ids", [*true_results(drawn.train), foreign], drawn, "training and validation images share ids"),
        ("mixed", mixed, drawn, "training and validation images share ids"),
        ("gaps", [*by_name(drawn.train), *gaps], drawn, "1 of 2 images have no answer"),
        ("none", [*by_name(drawn.train), foreign], drawn, "results of 3 other images"),
        ("names", shared, namesakes, "training and validation images share names"),
    ):
        caplog.clear()
        path = source if isinstance(source, Path) else write_results(tmp_path / f"{name}.json", source)
        assert answers_as_teacher(path, splits).val is None
        assert f"is not measured on {splits.val.file}: " in caplog.text
        assert reason in caplog.text
