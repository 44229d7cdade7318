"""A model file that cannot teach is refused before anything starts, in one line that says what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from constant_models import constant_model
from foreign_teachers import PERSON_MAP, bright_persons
from small_exports import SAID, small_export

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.model_facts.external_teacher import check_external_teacher, with_description

BOXES = {"kind": "boxes", "output": {"boxes": {"name": "boxes"}, "scores": {"name": "scores"}}}


def taught(config: ExperimentConfig, path: Path, external: Any = None) -> ExperimentConfig:
    return derive(config, name="taught", distillation={"teacher_checkpoint": str(path), "external": external})


def problem(config: ExperimentConfig) -> str:
    with pytest.raises((ConfigError, CheckpointError)) as raised:
        check_external_teacher(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_described_can_teach(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    check_external_teacher(taught(tiny_config, bright_persons(tmp_path / "model.onnx"), PERSON_MAP))
    check_external_teacher(taught(tiny_config, small_export(tmp_path / "best.onnx", metadata=SAID)))
    check_external_teacher(tiny_config)


def test_a_model_that_nobody_describes_is_refused(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    message = problem(taught(tiny_config, bright_persons(tmp_path / "model.onnx")))
    assert "describe it in model.adapter.json beside it" in message
    assert "--set distillation.external.kind=" in message


def test_a_description_that_is_not_the_files_is_refused(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    path = bright_persons(tmp_path / "model.onnx")
    described = {**PERSON_MAP, "input": {"size": [10, 10]}}
    assert "the adapter says [1, 3, 10, 10]" in problem(taught(tiny_config, path, described))
    described = {**PERSON_MAP, "output": {"values": "probabilities", "name": "x"}}
    assert "has no output 'x'" in problem(taught(tiny_config, path, described))
    described = {**PERSON_MAP, "output": {"values": "probabilities", "person_class": 7}}
    assert "model.onnx: output 0: no channel 7" in problem(taught(tiny_config, path, described))


def test_files_that_are_no_models_are_refused(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    assert "model.onnx" in problem(taught(tiny_config, tmp_path / "model.onnx", PERSON_MAP))
    assert "no such file" in problem(taught(tiny_config, tmp_path / "none.onnx", PERSON_MAP))


def test_what_says_nothing_of_pixels_teaches_nothing(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    outputs = {"boxes": np.zeros((1, 1, 4), np.float32), "scores": np.zeros((1, 1), np.float32)}
    with pytest.raises(ConfigError, match=r"distillation\.external\.kind: 'boxes' says nothing of pixels"):
        taught(tiny_config, constant_model(tmp_path / "model.onnx", outputs), BOXES)


def test_an_export_of_ours_says_itself_what_it_is(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    path = small_export(tmp_path / "best.onnx", metadata=SAID)
    described = {"kind": "person_map", "output": {"values": "probabilities", "name": "binary_masks"}}
    assert "best.onnx says itself what it is; leave the description out" in problem(
        taught(tiny_config, path, described)
    )


def test_what_stands_beside_a_model_becomes_part_of_the_run(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = taught(tiny_config, bright_persons(tmp_path / "model.onnx"))
    (tmp_path / "model.adapter.json").write_text(json.dumps(PERSON_MAP))
    found = with_description(config).distillation
    assert found is not None
    assert found.external == PERSON_MAP
    given = {**PERSON_MAP, "input": {"colors": "BGR"}}
    kept = with_description(taught(tiny_config, tmp_path / "model.onnx", given)).distillation
    assert kept is not None
    assert kept.external == given
    (tmp_path / "model.adapter.json").write_text("[")
    with pytest.raises(ConfigError, match=r"model\.adapter\.json"):
        with_description(config)
