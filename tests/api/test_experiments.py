"""Experiments from Python: found, derived, registered, described."""

from pathlib import Path

import pytest

import human_edge_detection as hed
from human_edge_detection.errors import ConfigError

STUDENT = "quickstart_student_b0"


def test_a_config_is_found_by_name_and_by_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: {STUDENT}\nname: mine\ntraining: {{epochs: 3}}\n")
    config = hed.get_config(file)
    assert (config.name, config.training.epochs) == ("mine", 3)
    assert hed.get_config(STUDENT).name == STUDENT
    assert hed.get_config(STUDENT) in hed.list_configs()
    with pytest.raises(ConfigError, match="did you mean 'quickstart_student_b0'"):
        hed.get_config("quickstart_studnt_b0")


def test_one_derives_from_a_name_a_file_or_a_config(tmp_path: Path) -> None:
    one = hed.derive(STUDENT, name="one", training={"epochs": 3})
    two = hed.derive(one, name="two", model={"image_size": [64, 64]})
    assert (two.name, two.training.epochs, two.model.image_size) == ("two", 3, (64, 64))
    with pytest.raises(ConfigError, match=r"training\.epoch: unknown field \(did you mean 'epochs'\?\)"):
        hed.derive(STUDENT, name="three", training={"epoch": 3})


def test_describing_counts_model_and_teacher() -> None:
    described = hed.describe("quickstart_distilled_b0_from_b3", changes={"model.image_size": (128, 128)})
    assert described.config.model.image_size == (128, 128)
    assert described.teacher_name == "quickstart_teacher_b3"
    assert described.teacher is not None and described.compression is not None
    assert described.teacher.inputs["images"] == ("B", 3, 128, 128)
    ratio = described.teacher.total_parameters / described.model.total_parameters
    assert described.compression.total_parameters == ratio
    assert described.to_json()["teacher"]["experiment"] == "quickstart_teacher_b3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.epoch": 1}, r"changes\['training.epoch'\]: unknown field 'training.epoch' \(did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, "training.epochs: input should be greater than or equal to 1, got 0"),
        ({"distillation.alpha": 0.5}, r"changes\['distillation.alpha'\] .*does not distil"),
        (
            {"data.root": "x", "data.sample": {}},
            r"changes\['data.root'\] and changes\['data.sample'\] both say where the data is",
        ),
        ({"name": "other"}, "unknown field 'name'"),
    ],
)
def test_a_wrong_change_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hed.describe(STUDENT, changes=changes)
