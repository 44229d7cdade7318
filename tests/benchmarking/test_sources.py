"""What a user may name as a model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.benchmarking.sources import choose_reference, find_sources
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths

STUDENT = "quickstart_student_b0"
DESCRIPTION = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"values": "probabilities"}}
WriteRun = Callable[..., RunPaths]


@pytest.fixture
def runs(tmp_path: Path, write_run: WriteRun) -> Path:
    """A student, its teacher, and a run of two seeds; no weights."""
    folder = tmp_path / "experiments"
    teacher = derive(get_config("quickstart_teacher_b3"), name="teacher")
    checkpoint = RunPaths(folder / "teacher").best
    student = derive(get_config(STUDENT), name="student", distillation={"teacher_checkpoint": str(checkpoint)})
    for name, config in (("teacher", teacher), ("student", student), ("two/seed_0", student), ("two/seed_1", student)):
        save(write_run, folder / name, config)
    return folder


def save(write_run: WriteRun, root: Path, config: ExperimentConfig) -> None:
    paths = write_run(root, config)
    save_checkpoint(paths.best, Checkpoint(config, {}, 1, {}, ""))


def test_runs_files_and_experiments_are_told_apart(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "peer.onnx"
    file.touch()
    models = ["student", str(runs / "teacher"), str(RunPaths(runs / "two" / "seed_1").best), str(file), STUDENT]
    found = find_sources([*models, "student"], {str(file): DESCRIPTION}, runs)
    assert [source.name for source in found] == ["student", "teacher", "two/seed_1", "peer", STUDENT]
    assert [source.checkpoint is not None for source in found] == [True, True, True, False, False]
    assert (found[3].file, found[3].adapter) == (file, DESCRIPTION)
    assert found[4].config == get_config(STUDENT)


def test_the_export_of_a_run_is_called_as_the_run_and_equal_names_are_told_apart(runs: Path) -> None:
    export = RunPaths(runs / "student").onnx
    export.touch()
    assert [source.name for source in find_sources([str(export)], {}, runs)] == ["student"]
    both = [str(export), "student"]
    assert [source.name for source in find_sources(both, {}, runs)] == both


def test_an_adapter_is_found_beside_the_model_or_by_its_name(runs: Path, tmp_path: Path) -> None:
    model, beside = tmp_path / "peer.onnx", tmp_path / "peer.adapter.json"
    model.touch()
    assert find_sources([str(model)], {}, runs)[0].adapter is None
    beside.write_text(json.dumps(DESCRIPTION))
    assert find_sources([str(model)], {}, runs)[0].adapter == DESCRIPTION
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(DESCRIPTION | {"input": {"size": [8, 8]}}))
    found = find_sources([str(model)], {"peer.onnx": other}, runs)[0].adapter
    assert found is not None
    assert found["input"] == {"size": [8, 8]}


def test_the_reference_is_the_teacher_of_another_model_else_the_first(runs: Path) -> None:
    models = [STUDENT, "student", "teacher"]
    sources = find_sources(models, {}, runs)
    assert choose_reference(sources, None, models).name == "teacher"
    assert choose_reference(sources[:2], None, models[:2]).name == STUDENT
    assert choose_reference(sources, "student", models).name == "student"


@pytest.mark.parametrize(
    ("model", "adapters", "message"),
    [
        (
            "studnt",
            {},
            "model studnt: no file that ends in .onnx, .tflite, .xml, .pth, no run in .* (did you mean 'student'?)",
        ),
        ("gone.onnx", {}, "model gone.onnx: no such file"),
        ("gone.pth", {}, "gone.pth: No such file"),
        ("two", {}, "2 runs of several seeds; name one, two/seed_N"),
        ("student", {"student": DESCRIPTION}, "--adapter student: only files that end in .onnx, .tflite, .xml are"),
        ("student", {"peer": DESCRIPTION}, "--adapter peer: none of the models is called so"),
        ("peer.onnx", {"peer.onnx": "gone.json"}, "--adapter gone.json: cannot be read (No such file or directory)"),
        ("peer.onnx", {"peer.onnx": "bad.json"}, "--adapter bad.json, line 1: "),
        ("peer.onnx", {"peer.onnx": "null.json"}, "--adapter null.json: adapter: expected fields kind, input"),
    ],
)
def test_what_is_no_model_is_one_line(
    model: str,
    adapters: dict[str, object],
    message: str,
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("peer.onnx").touch()
    Path("bad.json").write_text("{kind: [}")
    Path("null.json").write_text("null")
    with pytest.raises(ConfigError) as caught:
        find_sources([model], adapters, runs)
    for part in message.split(".*"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_named(runs: Path) -> None:
    RunPaths(runs / "student").best.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a checkpoint of this tool"):
        find_sources(["student"], {}, runs)
