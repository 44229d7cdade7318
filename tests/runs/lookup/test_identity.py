"""A run is told by what it learns from, not by where that lies."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.lookup.identity import (
    Identity,
    digest_of,
    find_contents,
    flat,
    identity_of,
    read_identity,
    weight_file,
)
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
STUDENT, TEACHER = "quickstart_student_b0", "quickstart_teacher_b3"
REAL = "rgb_hierarchical_unet_v2_student_b0"


def config(name: str = STUDENT, *sets: str, **flags: Any) -> ExperimentConfig:
    return apply(get_config(name), collect(sets=sets, flags={f"--{flag}": value for flag, value in flags.items()}))


def identity(name: str = STUDENT, *sets: str, **flags: Any) -> Identity:
    made = config(name, *sets, **flags)
    return identity_of(made, find_contents(made))


@pytest.mark.parametrize(
    "change",
    [
        "data.num_workers=3",
        "training.device=cpu",
        "training.log_every_steps=1",
        "training.checkpoint_minutes=1.0",
        "training.keep_last=5",
        "training.keep_every=1",
        "training.visualize_images=0",
        "training.epochs=7",
        "data.sample.test_images=4",
    ],
)
def test_fields_without_effect_and_epochs_are_no_part_of_it(change: str) -> None:
    assert not identity().differences(identity(STUDENT, change))
    assert identity().digest() == identity(STUDENT, change).digest()


def test_a_test_split_is_no_part_of_it() -> None:
    tested = identity(test_ann="gone.json", test_images="gone")
    assert not identity().differences(tested)
    assert identity().digest() == tested.digest()


@pytest.mark.parametrize(
    "change", ["training.seed=1", "training.batch_size=4", "model.contour={}", "data.sample.seed=1"]
)
def test_all_others_are(change: str) -> None:
    assert list(identity().differences(identity(STUDENT, change)))
    assert identity().digest() != identity(STUDENT, change).digest()


def test_a_pipeline_is_its_content_whatever_the_path(tmp_path: Path) -> None:
    for name, content in (("one", "a"), ("same", "a"), ("other", "b")):
        (tmp_path / name).write_text(content)
    one, same, other = (
        identity(STUDENT, f"data.augmentation.pipeline={tmp_path / name}") for name in ("one", "same", "other")
    )
    assert one.is_same(same) and one.digest() == same.digest()
    assert list(one.differences(other)) == list(one.differences(identity())) == ["pipeline"]
    assert len({made.digest() for made in (one, other, identity())}) == 3


def test_a_run_without_a_pipeline_has_the_digest_that_older_versions_stored() -> None:
    made = identity()
    older = made.contents.model_dump(mode="json", exclude={"weights", "pipeline", "unlabelled"})
    fields = dict(compare_fields({}, flat(made.fields)))
    assert made.digest() == digest_of([fields, older, {}])


def test_the_seed_is_no_part_of_a_groups_identity() -> None:
    assert not identity().differences(identity(STUDENT, "training.seed=1"), seeds=False)
    assert identity().digest(seeds=False) == identity(STUDENT, "training.seed=1").digest(seeds=False)


def test_data_are_their_annotations_whatever_the_path(
    tiny_coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_coco.parent)
    moved = tmp_path / "moved"
    shutil.copytree(tiny_coco, moved)
    spellings = [tiny_coco.name, f"./{tiny_coco.name}", f"{tiny_coco.name}/", str(tiny_coco), str(moved)]
    assert len({identity(REAL, data_root=root).digest() for root in spellings}) == 1
    annotations = next((moved / "annotations").glob("*train*.json"))
    annotations.write_text(annotations.read_text() + " ")
    changed = identity(REAL, data_root=str(moved)).differences(identity(REAL, data_root=str(tiny_coco)))
    assert list(changed) == ["train_annotations"]


@pytest.mark.parametrize("file", ["soft_labels_metadata.json", "soft_labels.json"])
def test_soft_labels_are_their_key_those_of_older_versions_too(file: str, tmp_path: Path) -> None:
    """So a run that older ones have taught stays the run that it is."""
    (tmp_path / "labels").mkdir()
    named = config(
        "quickstart_distilled_b0_from_b3", f"distillation.soft_labels={tmp_path / 'labels'}", "data.cache_views=2"
    )
    assert find_contents(named).soft_labels == "unknown"
    write_json(tmp_path / "labels" / file, {"key": {"seed": 3}, "heads": {}})
    assert find_contents(named).soft_labels == digest_of({"seed": 3})


def test_weights_are_their_content_whatever_the_path(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.pth", "same.pth", "other.pth"))
    for path, text in ((one, "weights"), (same, "weights"), (other, "others")):
        path.write_text(text)
    first = identity(STUDENT, init_from=str(one))
    assert not first.differences(identity(STUDENT, init_from=str(same)))
    assert list(first.differences(identity(STUDENT, init_from=str(other)))) == ["model.init_from"]
    assert list(first.differences(identity())) == ["model.init_from"]


def test_imagenet_from_a_folder_is_the_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "b0.pth"
    weights.write_text("encoder")
    assert identity(STUDENT, encoder_weights=str(weights)).contents.encoder_weights != str(weights)
    monkeypatch.delenv("HED_ENCODER_WEIGHTS", raising=False)
    assert identity(STUDENT, encoder_weights="imagenet").contents.encoder_weights == "imagenet"


def test_a_checkpoint_of_a_run_is_that_run_before_it_is_trained_and_its_content_after(
    tmp_path: Path, write_run: WriteRun
) -> None:
    teacher = RunPaths(tmp_path / TEACHER)
    reserve(teacher, config(TEACHER), find_contents(config(TEACHER)))
    stored = read_identity(teacher)
    assert stored is not None
    assert weight_file(teacher.best).sha256 is None
    write_run(teacher.root, config(TEACHER))
    trained = weight_file(teacher.best)
    assert (trained.run, trained.epochs, trained.checkpoint) == (stored.identity.digest(), stored.epochs, "best_model")
    copy = tmp_path / "copy.pth"
    shutil.copy(teacher.best, copy)
    assert trained.is_same(weight_file(copy))
    before = trained.model_copy(update={"sha256": None})
    assert before.is_same(trained)
    assert not before.is_same(weight_file(copy))  # nobody knows


def test_a_moved_run_folder_keeps_its_identity(tmp_path: Path, tiny_coco: Path) -> None:
    made = config(REAL, data_root=os.path.relpath(tiny_coco))
    run = RunPaths(tmp_path / "run")
    reserve(run, made, find_contents(made))
    before = read_identity(run)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert read_identity(RunPaths(tmp_path / "elsewhere")) == before


def test_a_run_of_an_older_version_is_told_by_what_its_paths_lead_to_now(tmp_path: Path, tiny_coco: Path) -> None:
    data = shutil.copytree(tiny_coco, tmp_path / "data")
    made = config(REAL, data_root=str(data))
    run = RunPaths(tmp_path / "run")
    write_json(run.config, made.model_dump(mode="json"))
    stored = read_identity(run)
    assert stored is not None
    assert not stored.identity.differences(identity_of(made, find_contents(made)))
    shutil.rmtree(data / "annotations")
    gone = read_identity(run)
    assert gone is not None
    assert gone.identity.contents.train_annotations is None
