"""Images without labels before a run starts: refused, counted, and part of what makes a run."""

from pathlib import Path
from typing import Any

import pytest
from unlabelled_folders import write_images, write_results

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runner.comparison.control import shared_with_control
from human_edge_detection.runner.execution.dry_run import describe_additions
from human_edge_detection.runner.execution.plan import check_plan, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runs.checks import check_data_paths
from human_edge_detection.runs.lookup.identity import (
    Identity,
    digest_of,
    find_contents,
    flat,
    identity_fields,
    identity_of,
)
from human_edge_detection.runs.model_facts.unlabelled import check_own_boxes, contents_of, epoch_in_words


@pytest.fixture
def config(tiny_config: ExperimentConfig, tmp_path: Path) -> ExperimentConfig:
    write_images(tmp_path / "others")
    section = {"images": str(tmp_path / "others"), "boxes": None}
    return derive(tiny_config, name="mixed", distillation={"teacher_config": "tiny"}, data={"unlabelled": section})


def test_an_epoch_in_words(config: ExperimentConfig, tmp_path: Path) -> None:
    assert epoch_in_words(config.data) == (
        f"images without labels: {tmp_path / 'others'}, 5 images, no boxes; an epoch has 12 images: 8 labelled and 4 "
        "of these"
    )
    few = derive(config, name="few", data={"max_train_images": 2, "unlabelled": {"boxes": "teacher", "ratio": 9.0}})
    assert "boxes of the teacher's detector; an epoch has 7 images: 2 labelled and 5 of these" in (
        epoch_in_words(few.data) or ""
    )


def test_what_is_not_there_is_refused(config: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for change, problem in (
        ({"images": str(tmp_path / "nowhere")}, "data.unlabelled.images: no such folder: .*nowhere"),
        ({"images": str(tmp_path / "empty")}, "data.unlabelled.images: no image file in .*empty or below"),
        ({"boxes": str(tmp_path / "nothing.json")}, "data.unlabelled.boxes: no such file: .*nothing.json"),
    ):
        with pytest.raises(ConfigError, match=problem):
            check_data_paths(derive(config, name="bad", data={"unlabelled": change}))
    check_data_paths(config)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"distillation": None}, r"data\.unlabelled: without a distillation nobody would teach"),
        ({"data": {"unlabelled": {"ratio": 0.0}}}, r"data\.unlabelled\.ratio: .*greater than 0"),
        ({"data": {"unlabelled": {"confidence": 1.0}}}, r"data\.unlabelled\.confidence: .*less than 1"),
        ({"distillation": {"full_image": 0.0}}, r"data\.unlabelled\.boxes: null leaves the heads of the whole image"),
    ],
)
def test_what_would_teach_nothing_is_refused(config: ExperimentConfig, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        derive(config, name="bad", **changes)


def test_a_teacher_yet_to_be_trained_must_have_a_detector(
    config: ExperimentConfig, tiny_config: ExperimentConfig
) -> None:
    own = derive(config, name="own", data={"unlabelled": {"boxes": "teacher"}})
    with pytest.raises(ConfigError, match=r"data\.unlabelled\.boxes: the teacher \(tiny\) has no detector"):
        check_own_boxes(own, planned=tiny_config)
    check_own_boxes(own, planned=derive(tiny_config, name="finder", model={"detector": {}}))
    check_own_boxes(config, planned=tiny_config)


def test_a_run_is_told_by_what_lies_there_and_not_by_where(config: ExperimentConfig, tmp_path: Path) -> None:
    write_images(tmp_path / "copy")
    copied = derive(config, name="mixed", data={"unlabelled": {"images": str(tmp_path / "copy")}})
    assert _identity(copied).is_same(_identity(config))
    write_images(tmp_path / "copy", 6)
    assert "unlabelled" in _identity(copied).differences(_identity(config))
    boxes = derive(config, name="mixed", data={"unlabelled": {"boxes": str(write_results(tmp_path / "a.json", [1]))}})
    assert contents_of(boxes.data) != contents_of(config.data)


def test_without_any_a_run_has_the_digest_that_it_had(tiny_config: ExperimentConfig) -> None:
    contents = find_contents(tiny_config)
    assert contents.unlabelled is None
    digest = identity_of(tiny_config, contents).digest()
    assert digest != identity_of(tiny_config, contents.model_copy(update={"unlabelled": "some"})).digest()
    # As versions computed it that knew nothing of such images.
    fields = dict(compare_fields({}, flat(identity_fields(tiny_config))))
    then = {"train_annotations", "val_annotations", "drawn_version", "encoder_weights", "soft_labels"}
    known = contents.model_dump(mode="json", include=then)
    assert digest == digest_of([fields, known, {}])


def test_its_control_has_none(config: ExperimentConfig, tiny_config: ExperimentConfig) -> None:
    one, other = (shared_with_control(each, find_contents(each)) for each in (config, tiny_config))
    assert one == other


def test_the_plan_counts_them_and_a_student_without_a_teacher_has_none(tiny_coco: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "others")
    sets = [f"data.unlabelled.images={tmp_path / 'others'}", "data.unlabelled.boxes=null"]
    names = ("quickstart_student_b0", "quickstart_distilled_b0_from_b3", "quickstart_teacher_b3")
    runs = plan(BatchRequest(names, tmp_path / "out", collect(sets=sets, flags={"--data_root": str(tiny_coco)})))
    check_plan(runs)
    having = {run.config.name: run.config.data.unlabelled is not None for run in runs}
    assert having == {name: "distilled" in name for name in names}
    (line,) = [line for line in describe_additions(runs) if "without labels" in line]
    assert line.endswith("5 images, no boxes; an epoch has 12 images: 8 labelled and 4 of these")


def _identity(config: ExperimentConfig) -> Identity:
    return identity_of(config, find_contents(config))
