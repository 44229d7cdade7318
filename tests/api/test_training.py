"""Training from Python: the same runs, folders and locks as from the command line, and nothing printed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import human_edge_detection as hed
from human_edge_detection.cli.main import main
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint
from human_edge_detection.engine.checkpoints.save_policy import Saver
from human_edge_detection.errors import BusyError, ConfigError, FolderMovedError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import hold
from human_edge_detection.runs.paths import RunPaths

TEACHER, STUDENT, DISTILLED = "quickstart_teacher_b3", "quickstart_student_b0", "quickstart_distilled_b0_from_b3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folders() -> list[str]:
    return sorted(path.name for path in Path("experiments").iterdir() if path.is_dir())


@pytest.mark.usefixtures("small_networks", "folder")
def test_a_config_that_nobody_registered_is_trained_once(
    tiny_config: ExperimentConfig, tiny_coco: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = hed.train(tiny_config, changes={"training.epochs": 1})
    assert (result.experiment, result.epochs) == ("tiny", 1)
    assert Path(result.best_checkpoint).is_file()
    Path("experiments").rename("moved")
    stamp = Path("moved/tiny/result.json").stat().st_mtime_ns
    again = hed.train(tiny_config, changes={"training": {"epochs": 1}, "data.num_workers": 0}, output_dir="moved")
    assert again == result.model_copy(update={"best_checkpoint": "moved/tiny/checkpoints/best_model.pth"})
    assert Path("moved/tiny/result.json").stat().st_mtime_ns == stamp
    other = hed.train(tiny_config, changes={"training.epochs": 1, "training.batch_size": 1}, output_dir="moved")
    assert Path(other.best_checkpoint).parents[1].name.startswith("tiny+")
    assert capfd.readouterr() == ("", "")
    # The command line goes on with a run of a name that it does not know.
    assert main(["train", "--resume", "moved/tiny", "--epochs", "2"]) == 0
    assert len(Path("moved/tiny/metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("small_networks", "folder")
def test_a_run_that_another_process_trains_is_refused_and_one_that_fails_leaves_its_name_free(
    tiny_config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("human_edge_detection.runs.lookup.reservation._PROBE_SECONDS", 0.1)
    with hold(RunPaths(Path("experiments/tiny")).lock, "run", advice="wait"), pytest.raises(BusyError, match="wait"):
        hed.train(tiny_config)
    with pytest.raises(ConfigError, match=r"no such file: gone\.pth"):
        hed.train(tiny_config, changes={"model.init_from": "gone.pth"})
    assert folders() == []


@pytest.mark.usefixtures("small_networks", "folder")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread is lost
@pytest.mark.parametrize("how", ["renamed", "deleted", "replaced"])
def test_a_run_whose_folder_goes_away_stops_and_is_in_one_piece(
    tiny_config: ExperimentConfig, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its first epoch; the second would have made a new folder of that name."""
    save, run = Saver.save_epoch, Path("experiments/tiny")

    def save_then_move(saver: Saver, checkpoint: Checkpoint, *, is_best: bool) -> None:
        save(saver, checkpoint, is_best=is_best)
        if checkpoint.epoch == 1:
            run.rename("moved")
        if how == "replaced":
            run.mkdir()
            (run / "config.json").write_text("another's")

    with monkeypatch.context() as patch, pytest.raises(FolderMovedError, match=r"was .* while it was written to"):
        patch.setattr(Saver, "save_epoch", save_then_move)
        if how == "deleted":
            patch.setattr(Path, "rename", lambda path, target: shutil.rmtree(path))
        hed.train(tiny_config)
    assert folders() == (["tiny"] if how == "replaced" else [])
    if how == "replaced":
        assert [(file.name, file.read_text()) for file in run.iterdir()] == [("config.json", "another's")]
        shutil.rmtree(run)
    if how != "deleted":
        Path("moved").rename(run)
        assert hed.train(tiny_config).epochs == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": "quickstart_studnt_b0"}, "did you mean 'quickstart_student_b0'"),
        ({"config": DISTILLED}, "needs the teacher quickstart_teacher_b3"),
        ({"config": STUDENT, "run_name": "../up"}, "--run_name"),
        ({"config": "mine.yaml"}, "no such file"),
        ({"config": STUDENT, "resume": "nowhere"}, "no such run folder or checkpoint"),
    ],
)
def test_mistakes_are_errors_of_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(hed.HumanEdgeDetectionError, match=message) as raised:
        hed.train(**arguments)
    assert "\n" not in str(raised.value)
    assert not Path("experiments").exists()


@pytest.mark.parametrize(
    "arguments", [{"jobs": "2"}, {"jobs": 1.5}, {"procs_per_run": None}, {"backend": "slurm", "cores_per_run": True}]
)
def test_a_number_of_a_batch_is_a_whole_number(arguments: dict[str, Any]) -> None:
    with pytest.raises(hed.HumanEdgeDetectionError, match="expected a whole number"):
        hed.preview_experiments(STUDENT, **arguments)


def test_a_run_that_is_continued_decides_what_is_trained(tiny_config: ExperimentConfig) -> None:
    with pytest.raises(ConfigError, match="leave the config out"):
        hed.train(tiny_config, resume="experiments/tiny")


CALLS: dict[str, Callable[[], object]] = {
    "train": lambda: hed.train(STUDENT),
    "run_experiments": lambda: hed.run_experiments(STUDENT),
    "preview_experiments": lambda: hed.preview_experiments(STUDENT),
    "soft_labels": lambda: hed.soft_labels(DISTILLED),
    "verify_resume": lambda: hed.verify_resume(STUDENT),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("call", CALLS)
def test_windows_is_refused_in_one_line(
    call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(TrainingError, match=r"works on Linux .* not on Windows"):
        CALLS[call]()
    for command in (["train", "--config", STUDENT], ["run", "--configs", STUDENT]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: training works on Linux (macOS: best effort) and not on Windows")
        assert error.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_batch_has_its_result_and_its_report_and_prints_nothing(
    children: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    output_dir = children(**{STUDENT: "failed"})
    reports: list[Any] = []
    result = hed.run_experiments([STUDENT, DISTILLED], output_dir=output_dir, seeds=[0, 1], report=reports.append)
    assert not result.good
    assert {outcome.name for outcome in result.outcomes if outcome.state == "failed"} == {
        f"{STUDENT}/seed_0",
        f"{STUDENT}/seed_1",
    }
    assert reports == [result]
    assert capfd.readouterr().out == ""


def test_an_interrupted_batch_is_reported_first(children: Callable[..., Path]) -> None:
    output_dir = children(**{STUDENT: "interrupted"})
    reports: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        hed.run_experiments(STUDENT, output_dir=output_dir, report=reports.append)
    assert [row["status"] for row in reports[0].rows] == ["interrupted"]


def test_a_sweep_is_a_mapping(children: Callable[..., Path]) -> None:
    output_dir = children()
    sweep: dict[str, list[Any]] = {"training.learning_rate": [1e-3, 1e-4], "model.encoder": ["timm-efficientnet-b0"]}
    result = hed.run_experiments(STUDENT, output_dir=output_dir, sweep=sweep)
    assert [entry.values["training.learning_rate"] for entry in result.entries] == [1e-3, 1e-4]
    lines = hed.preview_experiments(STUDENT, output_dir=output_dir, sweep={"training.seed": [1]}, trials=None)
    assert any("training.seed=1" in line for line in lines)


def test_ones_own_teacher_and_student_need_no_registration(children: Callable[..., Path]) -> None:
    output_dir = children()
    teacher = hed.derive(TEACHER, name="my_teacher", training={"epochs": 4})
    student = hed.derive(DISTILLED, name="my_student", distillation={"teacher_config": "my_teacher"})
    plan = hed.preview_experiments([student, teacher], output_dir=output_dir)
    assert [line for line in plan if line[0].isdigit()] == [
        "1. my_teacher (would be new)",
        "2. my_student (would be new)",
    ]
    assert f"   hed train --resume {output_dir}/my_teacher --epochs 4" in plan
    assert hed.run_experiments([student, teacher], output_dir=output_dir).good
    config = json.loads((output_dir / "my_student" / "config.json").read_text())
    assert config["distillation"]["teacher_checkpoint"] == str(output_dir / "my_teacher/checkpoints/best_model.pth")
    with pytest.raises(ConfigError, match="unknown experiment 'my_teacher'"):
        hed.run_experiments(student, output_dir=output_dir.parent / "others")
    with pytest.raises(ConfigError, match="'my_student' is named twice, with different configs"):
        hed.run_experiments(
            [student, hed.derive(student, name="my_student", training={"epochs": 2})], output_dir=output_dir
        )


@pytest.mark.slow
def test_a_batch_of_ones_own_experiments_in_real_processes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Teacher and student, derived and never registered; the children know them from their folders alone."""
    small: dict[str, Any] = {
        "data": {"sample": {"train_images": 4, "val_images": 2}, "num_workers": 0},
        "model": {"image_size": [64, 64], "encoder": "mobilenet_v2"},
    }
    teacher = hed.derive(TEACHER, name="my_teacher", training={"epochs": 1}, **small)
    student = hed.derive(
        DISTILLED, name="my_student", training={"epochs": 1}, distillation={"teacher_config": "my_teacher"}, **small
    )
    result = hed.run_experiments([student, teacher])
    assert result.good, [outcome.error for outcome in result.outcomes]
    assert capfd.readouterr().out == ""
    hed.register(teacher)  # so that its student finds it by its name
    assert hed.train(student).teacher_experiment == "my_teacher"
    assert folders() == ["my_student", "my_teacher"]
