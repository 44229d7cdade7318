"""``--resume PATH``: the run decides, and what else is given must agree."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.lookup.identity import find_contents, write_contents
from human_edge_detection.runs.lookup.resume import ResumedRun, ResumeRecord, find_resumed
from human_edge_detection.runs.paths import RunPaths, summary_path

WriteRun = Callable[..., RunPaths]
STUDENT, TEACHER, DISTILLED = "quickstart_student_b0", "quickstart_teacher_b3", "quickstart_distilled_b0_from_b3"


def changed(name: str, **flags: Any) -> ExperimentConfig:
    return apply(get_config(name), collect(flags={f"--{flag}": value for flag, value in flags.items()}))


def resumed(given: Path, name: str | None = None, flags: Mapping[str, Any] = {}) -> ResumedRun:
    return find_resumed(given, name, collect(flags=flags), given.parent)


def checkpoint(path: Path, epoch: int, sha256: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    fields = {"experiment": STUDENT, "sha256": sha256, "epoch": epoch, "metrics": {}, "data_fingerprint": "", "step": 9}
    write_json(summary_path(path), fields)
    return path


@pytest.fixture(autouse=True)
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints here are empty files: what is in them is the run's config, and their sums are right."""

    def config_of(path: Path) -> ExperimentConfig:
        return ExperimentConfig.model_validate_json(RunPaths(path.parent.parent).config.read_bytes())

    module = "human_edge_detection.runs.lookup.resume"
    monkeypatch.setattr(f"{module}.config_in_checkpoint", config_of)
    monkeypatch.setattr(f"{module}.file_sha256", lambda path: json.loads(summary_path(path).read_text())["sha256"])


def test_a_checkpoint_that_training_cannot_go_on_from_is_refused_before_anything_changes(
    tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", get_config(STUDENT))
    early = checkpoint(run.epoch_checkpoint(2), 2)
    fields = json.loads(summary_path(early).read_text())
    write_json(summary_path(early), fields | {"step": None})
    with pytest.raises(ConfigError, match="holds weights only"):
        resumed(early)
    write_json(summary_path(early), fields)
    with monkeypatch.context() as patch, pytest.raises(ConfigError, match="damaged"):
        patch.setattr("human_edge_detection.runs.lookup.resume.file_sha256", lambda path: "other")
        resumed(early)
    other = changed(STUDENT, batch_size=3)
    with monkeypatch.context() as patch, pytest.raises(ConfigError, match=r"differ: training\.batch_size"):
        patch.setattr("human_edge_detection.runs.lookup.resume.config_in_checkpoint", lambda path: other)
        resumed(early)


@pytest.mark.parametrize("name", [None, STUDENT])
def test_what_is_not_given_comes_from_the_run_also_with_its_experiment(
    tmp_path: Path, write_run: WriteRun, name: str | None
) -> None:
    config = changed(STUDENT, batch_size=3, epochs=5)
    run = write_run(tmp_path / "run", config)
    found = resumed(run.root, name)
    assert (found.config, found.kind, found.name, found.output_dir) == (config, "same", "run", tmp_path)
    assert resumed(run.root, name, {"--num_workers": 3}).config.data.num_workers == 3


def test_epochs_may_grow_from_the_checkpoint_that_is_given(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", changed(STUDENT, epochs=50))
    checkpoint(run.latest, 50)
    early = checkpoint(run.epoch_checkpoint(25), 25)
    grown = resumed(run.root, flags={"--epochs": 100})
    assert (grown.kind, grown.config.training.segments, grown.resume) == ("grows", (50, 100), None)
    back = resumed(early, flags={"--epochs": 100})
    assert (back.kind, back.config.training.segments, back.resume) == ("grows", (25, 100), early)
    assert resumed(early).config.training.segments is None


def test_the_same_command_again_goes_on_from_where_it_has_come(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", get_config(STUDENT))
    early = checkpoint(run.epoch_checkpoint(2), 2, "abc")
    assert resumed(early).resume == early
    for complete, expected in ((False, early), (True, None)):
        record = ResumeRecord(checkpoint=early.name, sha256="abc", complete=complete)
        write_json(run.resumed_from, record.model_dump(mode="json"))
        assert resumed(early).resume == expected


@pytest.mark.parametrize(
    ("name", "flags", "problem"),
    [
        (TEACHER, {}, f"a run of {STUDENT}, and {TEACHER} is named"),
        (None, {"--batch_size": 4}, r"training\.batch_size is 8 there, 4 here"),
        (None, {"--epochs": 1}, r"training\.epochs is 6 there, 1 here"),
        (None, {"--init_from": "weights"}, r"model\.init_from"),
    ],
)
def test_what_differs_is_refused(
    tmp_path: Path,
    write_run: WriteRun,
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    flags: dict[str, Any],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights").touch()
    run = write_run(tmp_path / "run", get_config(STUDENT))
    with pytest.raises(ConfigError, match=problem):
        resumed(run.root, name, flags)


def test_a_pipeline_that_has_changed_since_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("one")
    config = apply(get_config(STUDENT), collect(sets=[f"data.augmentation.pipeline={file}"]))
    run = write_run(tmp_path / "run", config)
    write_contents(run, find_contents(config))
    assert resumed(run.root).kind == "same"
    file.write_text("other")
    with pytest.raises(ConfigError, match=r"--resume .*: pipeline is "):
        resumed(run.root)


def test_a_run_that_stopped_early_does_not_grow(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", get_config(STUDENT), early_stopped=True, epochs=4)
    with pytest.raises(ConfigError, match="stopped early after epoch 4, so it does not grow to 9"):
        resumed(run.root, flags={"--epochs": 9})


def test_weights_outside_a_run_point_to_init_from_and_a_missing_path_lists_what_is_there(tmp_path: Path) -> None:
    weights = tmp_path / "a" / "b" / "weights.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    with pytest.raises(ConfigError, match="use --init_from"):
        resumed(weights)
    with pytest.raises(ConfigError, match="no such run folder or checkpoint"):
        resumed(tmp_path / "nothing")


def test_a_teacher_may_be_given_again_from_anywhere_when_it_is_the_same(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = tmp_path / "teacher.pth"
    teacher.write_text("weights")
    run = write_run(tmp_path / "run", changed(DISTILLED, teacher_checkpoint=str(teacher)))
    copy, other = tmp_path / "copy.pth", tmp_path / "other.pth"
    shutil.copy(teacher, copy)
    other.write_text("other weights")
    assert resumed(run.root, flags={"--teacher_checkpoint": str(copy)}).kind == "same"
    with pytest.raises(ConfigError, match=r"distillation\.teacher_checkpoint"):
        resumed(run.root, flags={"--teacher_checkpoint": str(other)})


def test_a_moved_folder_of_runs_finds_its_teachers_again(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / "old" / TEACHER, get_config(TEACHER))
    write_run(tmp_path / "old" / DISTILLED, changed(DISTILLED, teacher_checkpoint=str(teacher.best)))
    (tmp_path / "old").rename(tmp_path / "new")
    found = resumed(tmp_path / "new" / DISTILLED)
    assert found.config.distillation is not None
    assert found.config.distillation.teacher_checkpoint == str(RunPaths(tmp_path / "new" / TEACHER).best)
