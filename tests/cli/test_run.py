"""``hed run`` from its arguments to its exit code, with scripts in place of trainings."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.registry import expand
from human_edge_detection.runner.execution.ownership import batch_claim
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.execution.supervise import BatchEnd

TEACHER, STUDENT, DISTILLED, EDGE = expand(["quickstart"])


def test_a_good_batch_ends_with_0_a_table_and_the_paths(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 0
    output = capsys.readouterr().out
    _, *rows = (output_dir.parent / "experiment_comparison.csv").read_text().splitlines()
    assert len(rows) == 4
    assert output.count(" finished  ") == len(rows)
    assert f"written: {output_dir.parent / 'experiment_comparison.csv'}" in output


def test_a_failed_run_ends_with_1_and_is_in_the_comparison(children: Callable[..., Path]) -> None:
    output_dir = children(**{TEACHER: "failed"})
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 1
    runs = {run["run"]: run for run in json.loads((output_dir.parent / "experiment_runs.json").read_text())}
    assert {name: run["status"] for name, run in runs.items()} == {
        TEACHER: "failed",
        STUDENT: "finished",
        DISTILLED: "skipped",
        EDGE: "skipped",
    }
    assert runs[DISTILLED]["error"] == f"needs {TEACHER}, which is failed"


def test_an_interrupted_batch_ends_with_130_and_says_how_to_continue(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children(**{STUDENT: "interrupted"})
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 130
    assert "give the same command again to continue" in capsys.readouterr().err


def run(output_dir: Path, *flags: str) -> int:
    return main(["run", "--configs", TEACHER, STUDENT, DISTILLED, "--output_dir", str(output_dir), *flags])


def test_a_second_batch_is_refused_and_may_join_compare_or_show_its_plan(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    with batch_claim(output_dir, join=False):
        assert run(output_dir) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"output folder {output_dir} is in use by process {os.getpid()} on " in error
        assert "--join" in error
        assert not (output_dir / TEACHER).exists()
        assert run(output_dir, "--dry_run") == 0
        assert run(output_dir, "--join") == 0
        assert main(["compare", "--output_dir", str(output_dir)]) == 0
    assert run(output_dir) == 0


def test_a_batch_that_does_not_fit_on_the_disk_writes_nothing(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output_dir = children()
    monkeypatch.setattr(
        "human_edge_detection.runner.execution.free_space.shutil.disk_usage", lambda place: SimpleNamespace(free=1_000)
    )
    assert run(output_dir) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "GB are free" in error
    assert not output_dir.exists()
    assert run(output_dir, "--skip_training") == 1


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--retries", "-1"), "--retries -1: expected 0 or more"),
        (("--jobs", "0"), "--jobs 0: expected 1 or more"),
        (("--jobs", "-2"), "--jobs -2: expected 1 or more"),
        (("--jobs", "9999", "--device", "cpu"), "--jobs 9999: there are "),
        (("--jobs", "2", "--sweep", "training.epochs=1..9", "--trials", "3"), "--jobs 2: the trials of a search"),
        (("--hang_minutes", "-5"), "--hang_minutes -5: expected"),
        (("--hang_minutes", "nan"), "--hang_minutes nan: expected"),
        (("--restart", "--join"), "give one"),
        (("--sweep", "distillation.temprature=1,2"), "--sweep: unknown field 'distillation.temprature' (did you mean"),
        (("--sweep", "distillation.temperature=1,-2"), "distillation.temperature: input should be greater than 0"),
        (("--sweep", "training.epochs=1,2", "--epochs", "3"), "--sweep training.epochs: --epochs sets it, too"),
        (("--sweep", "training.seed=1,2", "--seeds", "3"), "--seeds and --sweep training.seed"),
        (("--sweep", "training.epochs=1,2", "--run_name", "x"), "--run_name x: names one folder"),
        (("--sweep", "training.epochs=1..9"), "--trials N"),
        (("--trials", "5"), "--trials: nothing to choose among"),
        (("--tuning_split",), "--tuning_split: nothing to choose among"),
        (("--sweep", "training.epochs=1,2", "--trials", "0"), "--trials 0: expected 1 or more"),
        (("--sweep", "training.epochs=1,2", "--trials", "5"), "--trials searches for one experiment, and 3 are named"),
    ],
)
def test_wrong_flags_are_one_line_and_write_nothing(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], error: str
) -> None:
    output_dir = children()
    assert run(output_dir, *flags) == 2
    assert error in capsys.readouterr().err
    assert not output_dir.exists()


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU."""
    monkeypatch.setattr("human_edge_detection.runner.sharing.sharing.usable_cores", lambda: 4.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.usefixtures("four_cores")
def test_several_runs_at_once_end_as_one_after_the_other(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children(**{STUDENT: "failed"})
    assert run(output_dir, "--jobs", "2") == 1
    said = capsys.readouterr().err
    assert "--jobs 2: 2 runs at once, 2 of 4 cores each" in said
    runs = {one["run"]: one["status"] for one in json.loads((output_dir.parent / "experiment_runs.json").read_text())}
    assert runs == {TEACHER: "finished", STUDENT: "failed", DISTILLED: "finished"}


@pytest.mark.usefixtures("four_cores")
def test_a_dry_run_with_jobs_says_what_waits_for_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "runs", "--jobs", "4", "--dry_run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "--jobs 4: 4 runs at once, 1 of 4 cores each" in lines
    assert "--jobs 4: runs that are to be trained: 3; with fewer jobs each has more" in lines
    after = {line.split()[1]: lines[number + 1].strip() for number, line in enumerate(lines) if "would be new" in line}
    alone = "waits for no other run"
    assert after == {TEACHER: alone, STUDENT: alone, DISTILLED: f"after {TEACHER}"}


def test_restart_trains_anew_and_says_so_first(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    assert run(output_dir) == 0
    (output_dir / STUDENT / "checkpoints" / "old").touch()
    capsys.readouterr()
    assert run(output_dir, "--restart") == 0
    said = capsys.readouterr().err
    assert f"restart: {output_dir / STUDENT} is deleted and trained anew: a run of 6 epochs, 0 of them trained" in said
    assert not (output_dir / STUDENT / "checkpoints" / "old").exists()
    assert run(output_dir, "--restart", "--epochs", "1") == 0
    said = capsys.readouterr().err
    assert "no run with these settings and epochs is there" in said
    assert f"{output_dir / STUDENT} holds another run (training.epochs is 6 there, 1 here)" in said


def test_flags_become_options(children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Options] = []

    def note(runs: object, options: Options, backend: object, **others: object) -> BatchEnd:
        given.append(options)
        return BatchEnd((), None)

    monkeypatch.setattr("human_edge_detection.runner.run_experiments.supervise", note)
    output_dir = children()
    assert run(output_dir, "--retries", "2", "--hang_minutes", "0.5", "--fail_fast", "--export_onnx") == 0
    assert run(output_dir, "--skip_training") == 0
    assert given == [
        Options(export_onnx=True, fail_fast=True, retries=2, hang_minutes=0.5),
        Options(skip_training=True, retries=0, hang_minutes=60.0),
    ]


def test_comparing_a_folder_without_runs_writes_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "photographs"
    empty.mkdir()
    assert main(["compare", "--output_dir", str(empty)]) == 2
    assert list(tmp_path.iterdir()) == [empty]
    assert not any(empty.iterdir())


SWEEP = ("--sweep", "distillation.temperature=1,4", "--sweep", "distillation.alpha=0.3,0.7")


def test_a_grid_trains_each_combination_once_and_says_which_values_a_run_has(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    assert run(output_dir, *SWEEP) == 0
    output = capsys.readouterr().out
    (file,) = output_dir.glob("sweeps/*/sweep.json")
    rows = json.loads(file.read_text())["rows"]
    assert [row["experiment"] for row in rows] == [TEACHER, STUDENT, *[DISTILLED] * 4]
    values = [(row["distillation.temperature"], row["distillation.alpha"]) for row in rows]
    assert values == [(None, None), (None, None), (1, 0.3), (1, 0.7), (4, 0.3), (4, 0.7)]
    assert {row["status"] for row in rows} == {"finished"}
    assert all((output_dir / row["run"] / "result.json").is_file() for row in rows)
    assert f"written: {file}" in output
    results = {path: path.stat().st_mtime_ns for path in output_dir.glob("*/result.json")}
    assert len(results) == 6
    assert run(output_dir, *SWEEP) == 0
    assert {path: path.stat().st_mtime_ns for path in results} == results


def test_the_plan_of_a_sweep_writes_nothing(children: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    output_dir = children()
    few = ("--set", "data.sample.train_images=8", "--set", "data.sample.val_images=2")  # they are drawn, elsewhere
    assert run(output_dir, *SWEEP, "--tuning_split", *few, "--seeds", "0", "1", "--dry_run") == 0
    output = capsys.readouterr().out
    assert output.count("distillation.alpha: 0.7 -> 0.3") == 4
    assert "tuning.json" in output
    search = [
        "run",
        "--configs",
        DISTILLED,
        "--output_dir",
        str(output_dir),
        *SWEEP,
        *few,
        "--trials",
        "9",
        "--dry_run",
    ]
    assert main([*search, "--dry_run"]) == 0
    assert "one of 9 trials could be" in capsys.readouterr().out
    assert not output_dir.exists()


def test_a_search_ends_in_a_config_that_runs_on_the_original_data(
    children: Callable[..., Path], tiny_coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    search = ["run", "--configs", DISTILLED, "--output_dir", str(output_dir), "--data_root", str(tiny_coco)]
    search += ["--sweep", "distillation.temperature=1.0..8.0:log", "--trials"]
    assert main([*search, "2"]) == 0
    capsys.readouterr()
    assert main([*search, "3"]) == 0
    output = capsys.readouterr().out
    (best,) = output_dir.glob("sweeps/*/best_config.yaml")
    rows = json.loads(best.with_name("sweep.json").read_text())["rows"]
    assert [(row["trial"], row["status"]) for row in rows] == [(f"trial {number}", "finished") for number in range(3)]
    assert f"run_experiments.py --config_file {best}" in output
    assert "the tuning split (20% of the training images" in output
    again = ["run", "--config_file", str(best), "--output_dir", str(output_dir)]
    assert main([*again, "--dry_run"]) == 0
    plan = capsys.readouterr().out
    assert f'data.root: null -> "{tiny_coco}"' in plan
    assert "tuning" not in plan
    assert main(again) == 0


def test_a_grid_on_a_tuning_split_ends_in_a_config_for_each_experiment(
    children: Callable[..., Path], tiny_coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    flags = ("--data_root", str(tiny_coco), "--sweep", "training.learning_rate=1e-3,1e-4", "--tuning_split")
    assert run(output_dir, *flags) == 0
    files = {file.name for file in output_dir.glob("sweeps/*/*.yaml")}
    assert files == {f"best_config_{name}.yaml" for name in (TEACHER, STUDENT, DISTILLED)}


def test_without_optuna_a_search_says_what_to_install(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output_dir = children()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    search = ["run", "--configs", STUDENT, "--output_dir", str(output_dir), "--sweep", "training.epochs=1,2"]
    assert main([*search, "--trials", "2"]) == 2
    assert "uv sync --inexact --extra search" in capsys.readouterr().err
