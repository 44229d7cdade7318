"""Soft labels of a teacher: the same training as with the teacher itself, and no other than the one they are to."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pipelines import transform, write_pipeline
from soft_label_runs import (
    IMAGES,
    VIEWS,
    batches_of,
    forbid_teachers,
    interrupted_after,
    scores_teacher,
    trainer_of,
    write,
)

from human_edge_detection.engine.build import read_splits
from human_edge_detection.engine.teaching import soft_label_writer as writer_module
from human_edge_detection.engine.teaching import soft_labels as store_module
from human_edge_detection.engine.teaching.soft_label_parts import largest_bytes, part_file
from human_edge_detection.engine.teaching.soft_labels import metadata_path, read_metadata
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError, ConfigError, DataError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

Train = Callable[..., RunResult]
pytestmark = pytest.mark.usefixtures("small_parts")

HALF = 2e-3
"""Relative: logits have 11 binary digits."""


# --- the same training -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_cached_and_online_training_see_the_same(
    online: ExperimentConfig, cached: ExperimentConfig, workers: int, tmp_path: Path
) -> None:
    """Step by step from the same weights: equal batches and ground-truth losses, distillation to half precision."""
    write(cached, tmp_path)
    with_workers = derive(cached, name="workers", data={"num_workers": workers})
    asking, reading = trainer_of(online, tmp_path), trainer_of(with_workers, tmp_path)
    steps = 0
    for one, other in zip(batches_of(asking), batches_of(reading), strict=True):
        for field in ("images", "rois", "roi_masks", "person_masks"):
            assert torch.equal(getattr(one, field), getattr(other, field)), field
        assert (one.image_ids, one.annotation_ids) == (other.image_ids, other.annotation_ids)
        assert one.soft_labels is None
        assert other.soft_labels is not None
        reading.state.student.load_state_dict(asking.state.student.state_dict())
        reading.progress.step = asking.progress.step
        asked, read = asking.train_step([one]), reading.train_step([other])
        assert asked.keys() == read.keys()
        for name, value in asked.items():
            if name.startswith("distill/") or name in ("total", "soft", "gradient_norm"):
                assert read[name] == pytest.approx(value, rel=HALF, abs=1e-6), name
            else:
                assert read[name] == value, name
        steps += 1
    assert steps == 3 * IMAGES / 2


def test_a_whole_run_needs_no_teacher_and_reports_it(
    online: ExperimentConfig, cached: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = train(online, RunPaths(tmp_path / "online"))
    write(cached, tmp_path)
    forbid_teachers(monkeypatch)
    result = train(cached, RunPaths(tmp_path / "cached"))
    for field in (
        *("teacher_checkpoint", "teacher_sha256", "teacher_experiment", "teacher_encoder", "teacher_miou"),
        *("teacher_parameters", "temperature", "alpha"),
    ):
        assert getattr(result, field) == getattr(taught, field) is not None, field
    one, other = (
        [json.loads(line) for line in RunPaths(tmp_path / name).metrics.read_text().splitlines()]
        for name in ("online", "cached")
    )
    assert len(one) == 3
    # Training amplifies the rounding of each step, which the test above bounds, on each processor in another way.
    assert [epoch.keys() for epoch in one] == [epoch.keys() for epoch in other]


def test_stored_answers_teach_in_bf16_too(cached: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    half = derive(cached, name="half", training={"precision": "bf16", "epochs": 1})
    write(half, tmp_path)
    assert train(half, RunPaths(tmp_path / "run")).epochs == 1


def test_a_resumed_run_ends_in_the_same_bits(
    cached: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(cached, tmp_path)
    forbid_teachers(monkeypatch)
    train(cached, RunPaths(tmp_path / "straight"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train_step", interrupted_after(5, Trainer.train_step))
        train(cached, RunPaths(tmp_path / "stopped"))
    train(cached, RunPaths(tmp_path / "stopped"))
    straight, stopped = (RunPaths(tmp_path / name).metrics.read_text() for name in ("straight", "stopped"))
    assert stopped == straight


def test_a_teacher_sees_pasted_persons_too(cached: ExperimentConfig, tmp_path: Path) -> None:
    """As many soft labels as rois, whoever is pasted; and not more bytes than were said to be needed."""
    pasting = {"copy_paste": {"probability": 1.0, "max_persons": 3}}
    config = derive(cached, name="pasted", data={"augmentation": pasting, "max_rois_per_image": 5})
    stored = write(config, tmp_path)
    trainer = trainer_of(config, tmp_path)
    people, heads = trainer.parts.training_set.people, stored.metadata.heads
    rois = 0
    for batch in batches_of(trainer):
        assert batch.soft_labels is not None
        assert len(batch.soft_labels.logits) == len(batch.rois)
        rois += len(batch.rois)
    assert rois > 3 * people.images.person_counts.sum()  # of three epochs
    size = sum(path.stat().st_size for path in stored.folder.rglob("*.safetensors"))
    assert size <= VIEWS * largest_bytes(people, config.data, heads)


def test_a_folder_may_be_one_for_each_seed(
    cached: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = derive(cached, name="both", distillation={"soft_labels": str(tmp_path / "labels_{seed}")})
    for seed in (3, 4):
        assert write(derive(both, name="both", training={"seed": seed}), tmp_path).folder == tmp_path / f"labels_{seed}"
    forbid_teachers(monkeypatch)
    train(derive(both, name="both", training={"seed": 4, "epochs": 1}), RunPaths(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"no soft labels in .*labels_5"):
        train(derive(both, name="both", training={"seed": 5}), RunPaths(tmp_path / "other"))


def test_views_come_again_in_another_order(online: ExperimentConfig, tmp_path: Path) -> None:
    dataset = trainer_of(online, tmp_path).parts.training_set
    first, second, third = (dataset[(epoch, 0)] for epoch in range(3))
    assert np.array_equal(first.image, third.image)
    assert np.array_equal(first.boxes, third.boxes)
    assert not np.array_equal(first.image, second.image)
    ids = [batch.image_ids for batch in batches_of(trainer_of(online, tmp_path))]
    assert ids[:4] != ids[8:]


# --- only for the training that they are to -------------------------------------------------------------------------

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"data": {"augmentation": {"rotate": 11.0}}}, "augmentation.rotate is 10.0 there, 11.0 here"),
    ({"data": {"augmentation": None}}, "augmentation is"),
    ({"data": {"augmentation": {"copy_paste": {}}}}, "augmentation.copy_paste is None there"),
    ({"data": {"max_rois_per_image": 2}}, "max_rois_per_image is 3 there, 2 here"),
    ({"data": {"cache_views": 3}}, "cache_views is 2 there, 3 here"),
    ({"model": {"image_size": [64, 96]}}, "image_size is [64, 64] there, [64, 96] here"),
    ({"model": {"mask_size": [40, 24]}}, "mask_size is [32, 24] there, [40, 24] here"),
    ({"training": {"seed": 5}}, "seed is 0 there, 5 here"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=lambda value: value if isinstance(value, str) else "")
def test_another_training_is_refused(
    cached: ExperimentConfig, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(cached, tmp_path)
    other = derive(cached, name="other", **change)
    for use in (trainer_of, write):
        with pytest.raises(ConfigError) as raised:
            use(other, tmp_path)
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)


KEY_FIELDS = [
    *("format_version", "teacher_sha256", "external", "adapter", "training_fingerprint", "training_images"),
    "unlabelled",
    *("augmentation", "image_size", "mask_size", "max_rois_per_image", "seed", "cache_views", "view_version"),
]


def test_every_field_of_the_key_refuses(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    assert list(stored.metadata.model_dump()["key"]) == KEY_FIELDS
    for field in (field for field in KEY_FIELDS[1:] if field not in ("external", "adapter")):  # which no training names
        changed = stored.metadata.model_dump(mode="json")
        changed["key"][field] = _another(changed["key"][field])
        write_json(metadata_path(stored.folder), changed)
        with pytest.raises(ConfigError, match=f"soft labels in .* are of another training: {field} is "):
            trainer_of(cached, tmp_path)


def test_a_pipeline_is_in_the_key_by_its_content(cached: ExperimentConfig, tmp_path: Path) -> None:
    file = write_pipeline(tmp_path / "pipeline.json", transform("HorizontalFlip", p=0.5))
    moved = write_pipeline(tmp_path / "moved.json", transform("HorizontalFlip", p=0.5))
    by_pipeline = derive(cached, name="other", data={"augmentation": {"pipeline": str(file)}})
    write(by_pipeline, tmp_path)
    trainer_of(derive(by_pipeline, name="moved", data={"augmentation": {"pipeline": str(moved)}}), tmp_path)
    write_pipeline(file, transform("HorizontalFlip", p=0.6))
    with pytest.raises(ConfigError, match=r"of another training: augmentation\.pipeline is '[0-9a-f]{64}, albument"):
        trainer_of(by_pipeline, tmp_path)


def test_answers_of_another_format_are_refused(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    metadata = stored.metadata.model_dump(mode="json")
    metadata["key"] |= {"format_version": 1, "albumentations": "2.0.8"}
    write_json(metadata_path(stored.folder), metadata)
    with pytest.raises(
        CheckpointError, match=r"soft_labels_metadata\.json: .* of another version; delete this file and"
    ):
        trainer_of(cached, tmp_path)


def _another(value: Any) -> Any:
    match value:
        case dict():
            return None
        case [height, width]:
            return [height + 8, width]
        case int():
            return value + 1
    return f"{value}0"


def test_other_validation_data_need_the_teachers_score_and_no_new_answer(
    cached: ExperimentConfig, tiny_coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = write(cached, tmp_path)
    annotations = tiny_coco / "annotations"
    validation = json.loads((annotations / "instances_val.json").read_text())
    (tmp_path / "fewer.json").write_text(json.dumps({**validation, "info": {"description": "other"}}))
    paths = {
        "root": None,
        "train_ann": str(annotations / "instances_train.json"),
        "val_ann": str(tmp_path / "fewer.json"),
        "train_images": str(tiny_coco / "images" / "train"),
        "val_images": str(tiny_coco / "images" / "val"),
    }
    other = derive(cached, name="other", data=paths)
    with pytest.raises(
        ConfigError, match=r"the teacher of .* was not measured on .*fewer\.json and its images as they are; give"
    ):
        trainer_of(other, tmp_path)
    monkeypatch.setattr(writer_module, "pack", lambda *_: pytest.fail("an answer was made anew"))
    again = write(other, tmp_path)
    assert len(again.metadata.teacher.metrics) == 2
    assert again.metadata.parts == stored.metadata.parts
    for config in (other, cached):
        assert scores_teacher(trainer_of(config, tmp_path))


def test_answers_are_to_the_images_that_were_there_and_so_is_the_teachers_score(
    cached: ExperimentConfig, tiny_coco: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(tiny_coco, tmp_path / "data"))
    here = derive(cached, name="here", data={"root": str(data)})
    written = write(here, tmp_path)
    put_noise(data / "images" / "val")
    with pytest.raises(ConfigError, match=r"was not measured on .* and its images as they are; give hed soft-labels"):
        trainer_of(here, tmp_path)
    again = write(here, tmp_path).metadata
    assert (again.parts, len(again.teacher.metrics)) == (written.metadata.parts, 2)
    put_noise(data / "images" / "train")
    for use in (trainer_of, write):
        with pytest.raises(ConfigError, match="are of another training: training_images is"):
            use(here, tmp_path)
    older = written.metadata.model_dump(mode="json")
    del older["key"]["training_images"]
    older["teacher"]["metrics"] = {read_splits(here.data, tmp_path, seed=0).val.fingerprint: {"miou": 0.5}}
    write_json(metadata_path(written.folder), older)
    assert scores_teacher(trainer_of(here, tmp_path))  # unknown, as before


def put_noise(folder: Path) -> None:
    for number, image in enumerate(sorted(folder.iterdir())):
        noise = np.random.default_rng(number).integers(0, 256, (96, 128, 3), np.uint8)
        cv2.imwrite(str(image), noise)


def test_a_teacher_trained_anew_is_refused(cached: ExperimentConfig, trained_teacher: RunPaths, tmp_path: Path) -> None:
    write(cached, tmp_path)
    other = derive(cached, name="o", distillation={"teacher_checkpoint": str(trained_teacher.latest)})
    here, there = (
        rf"{re.escape(str(path))} \(sha256 \w{{12}}\)" for path in (trained_teacher.latest, trained_teacher.best)
    )
    with pytest.raises(ConfigError, match=f"teacher_sha256 is {there} there, {here} here"):
        trainer_of(other, tmp_path)
    gone = derive(cached, name="o", distillation={"teacher_checkpoint": str(tmp_path / "gone.pth")})
    with pytest.raises(CheckpointError, match=r"gone\.pth: No such file"):
        trainer_of(gone, tmp_path)


def test_several_teachers_are_one(
    cached: ExperimentConfig, trained_teacher: RunPaths, train: Train, tmp_path: Path
) -> None:
    """Each is named in the key and in the result, whether loaded or not."""
    more = [str(trained_teacher.untrained)]
    both = derive(cached, name="both", distillation={"more_teacher_checkpoints": more})
    assert (write(both, tmp_path).metadata.key.teacher_sha256 or "").count("+") == 1
    distiller = trainer_of(both, tmp_path).parts.distiller
    assert distiller is not None
    assert distiller.teacher is None
    result = train(derive(both, name="both", training={"epochs": 1}), RunPaths(tmp_path / "run"))
    assert result.teacher_sha256 is not None
    assert result.teacher_sha256.count("+") == 1
    with pytest.raises(ConfigError, match="teacher_sha256 is"):
        trainer_of(cached, tmp_path)


def test_answers_to_mirror_images_too_are_other_soft_labels(cached: ExperimentConfig, tmp_path: Path) -> None:
    plain = write(cached, tmp_path)
    both = derive(cached, name="both", distillation={"flip_averaging": True})
    with pytest.raises(ConfigError, match="teacher_sha256 is"):
        trainer_of(both, tmp_path)
    plain.folder.rename(tmp_path / "plain")
    mirrored = write(both, tmp_path)
    assert scores_teacher(trainer_of(both, tmp_path))
    assert mirrored.metadata.key.teacher_sha256 == f"{plain.metadata.key.teacher_sha256}+mirror"
    assert mirrored.metadata.teacher.metrics != plain.metadata.teacher.metrics
    _, one = replace(plain, folder=tmp_path / "plain").read(0, 0)
    _, other = mirrored.read(0, 0)
    assert not np.array_equal(one["logits"], other["logits"])


def test_the_teachers_file_need_not_be_there(cached: ExperimentConfig, tmp_path: Path) -> None:
    write(cached, tmp_path)
    nameless = derive(cached, name="nameless", distillation={"teacher_checkpoint": None})
    trainer = trainer_of(nameless, tmp_path)
    assert trainer.parts.origin.teacher_sha256 == read_metadata(tmp_path / "labels").key.teacher_sha256  # type: ignore[union-attr]


def test_a_run_is_not_continued_with_answers_of_another_teacher(
    cached: ExperimentConfig, trained_teacher: RunPaths, train: Train, tmp_path: Path
) -> None:
    write(cached, tmp_path)
    nameless = derive(cached, name="nameless", distillation={"teacher_checkpoint": None})
    paths = RunPaths(tmp_path / "run")
    train(nameless, paths)
    (tmp_path / "labels").rename(tmp_path / "before")
    write(derive(cached, name="o", distillation={"teacher_checkpoint": str(trained_teacher.latest)}), tmp_path)
    with pytest.raises(CheckpointError, match="was taught by another teacher"):
        train(nameless, paths)


def test_damage_is_found_before_the_first_step(
    cached: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = write(cached, tmp_path).folder / part_file(1, 2)
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=r"part_00002\.safetensors: damaged"):
        trainer_of(cached, tmp_path)
    monkeypatch.setattr(store_module, "_HASHED_BYTES", 10)
    trainer_of(cached, tmp_path)  # too large to be hashed each time
    with pytest.raises(DataError, match="damaged"):
        write(cached, tmp_path)
    part.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="damaged"):
        trainer_of(cached, tmp_path)
    part.unlink()
    with pytest.raises(DataError, match="missing"):
        trainer_of(cached, tmp_path)


def test_answers_to_other_persons_stop_the_training(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    sample = trainer_of(cached, tmp_path).parts.training_set[(0, 0)]
    assert len(stored(0, 0, sample)["logits"]) == len(sample.boxes) == 2
    fewer = sample._replace(boxes=sample.boxes[:1])
    with pytest.raises(DataError, match=r"soft labels of 2 persons of image 0, expected 1; .* delete"):
        stored(0, 0, fewer)


def test_soft_labels_of_an_older_version_are_refused_by_name(cached: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "soft_labels.json").write_text("{}")
    for use in (trainer_of, write):
        with pytest.raises(ConfigError, match=r"of an older version \(soft_labels\.json\) and cannot be read: delete"):
            use(cached, tmp_path)


def test_answers_cannot_be_moved_into_views_of_a_pipeline(cached: ExperimentConfig, tmp_path: Path) -> None:
    piped = derive(cached, name="piped", data={"augmentation": {"pipeline": "pipeline.yaml"}})
    answers = tmp_path / "results.json"
    answers.write_text("[]")
    problem = r"--from .*results\.json: views of data\.augmentation\.pipeline are no affine maps"
    with pytest.raises(ConfigError, match=problem):
        writer_module.write_soft_labels(piped, sample_root=tmp_path, source=answers)
    assert not (tmp_path / "labels").exists()


def test_there_must_be_some(cached: ExperimentConfig, online: ExperimentConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no soft labels in .*; to make them give hed soft-labels"):
        trainer_of(cached, tmp_path)
    with pytest.raises(ConfigError, match="give --soft_labels DIR"):
        write(online, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"distillation": {"terms": [{"kind": "kl"}, {"kind": "feat"}]}},
            "terms.1: 'feat' needs the teacher's features",
        ),
        ({"distillation": {"terms": [{"kind": "at"}]}}, "terms.0: 'at' needs the teacher's features"),
        ({"distillation": {"adaptive_alpha": {}}}, "adaptive_alpha: runs the teacher itself"),
        ({"data": {"cache_views": None}}, "data.cache_views: soft labels need views that repeat"),
    ],
)
def test_what_needs_the_teacher_itself_is_refused(
    cached: ExperimentConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        derive(cached, name="other", **change)
    assert message in str(raised.value)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no head": (lambda content: content["heads"].clear(), "heads: none"),
    "an unknown head": (lambda content: content["heads"].update(depth=[1, 2, 2]), "heads: depth of shape 1 x 2 x 2"),
    "other channels": (lambda content: content["heads"].update(logits=[2, 32, 24]), "heads: logits of shape 2 x 32"),
    "another size": (
        lambda content: content["heads"].update(logits=[3, 24, 32]),
        "logits of 24 x 32, expected 32 x 24: edited; delete",
    ),
    "a side of nothing": (lambda content: content["heads"].update(logits=[3, 0, 24]), "heads: logits of shape 3 x 0"),
    "fewer images": (lambda content: content.update(images=3), "3 images, expected 8: edited; delete"),
    "more views": (lambda content: content["key"].update(cache_views=10**12), "cache_views is 1000000000000 there"),
    "parts turned round": (lambda content: content["parts"].reverse(), "not the 6 parts of 8 images"),
    "a part elsewhere": (lambda content: content["parts"][0].update(file="../secret"), "not the 6 parts of 8 images"),
    "no miou": (
        lambda content: [metrics.pop("miou") for metrics in content["teacher"]["metrics"].values()],
        "was not measured on",
    ),
    "a miou beyond 1": (
        lambda content: [metrics.update(miou=1e300) for metrics in content["teacher"]["metrics"].values()],
        "miou: Input should be less than",
    ),
}


def test_what_was_edited_by_hand_is_found_before_the_first_step(cached: ExperimentConfig, tmp_path: Path) -> None:
    file = metadata_path(write(cached, tmp_path).folder)
    whole = file.read_text()
    for name, (edit, message) in EDITS.items():
        content = json.loads(whole)
        edit(content)
        file.write_text(json.dumps(content))
        with pytest.raises((ConfigError, CheckpointError), match=message):
            trainer_of(cached, tmp_path)
        assert file.exists(), name
    content = json.loads(whole)
    EDITS["no miou"][0](content)
    file.write_text(json.dumps(content))
    assert write(cached, tmp_path).metadata == read_metadata(file.parent)  # the advice helps: it is measured again
    assert scores_teacher(trainer_of(cached, tmp_path))
