"""``hed run`` from its arguments to its exit code, with scripts in place of trainings."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.runner.attempts import Options
from human_edge_detection.runner.claims import batch_claim
from human_edge_detection.runner.supervise import BatchEnd

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])

CHILD = """#!{python}
import json, os, sys
from pathlib import Path

values = dict(zip(sys.argv, sys.argv[1:]))
root = Path(values["--output_dir"]) / values["--run_name"]
state = {states}.get(values["--config"], "finished")
(root / "checkpoints").mkdir(parents=True, exist_ok=True)
if state == "finished":
    (root / "result.json").write_text(Path("{result}").read_text())
    (root / "checkpoints" / "best_model.pth").touch()
status = {{"state": state, "epochs": 2, "pid": os.getpid(), "host": "h", "started": "", "updated": ""}}
(root / "status.json").write_text(json.dumps(status))
"""


@pytest.fixture
def children(
    tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """``children(experiment=state)`` puts a script in the interpreter's place; returns the output folder."""
    template = write_run(tmp_path / "template", get_config(STUDENT))

    def replace_python(**states: str) -> Path:
        script = tmp_path / "python"
        script.write_text(CHILD.format(python=sys.executable, states=states, result=template.result))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr("human_edge_detection.runner.plan.sys.executable", str(script))
        monkeypatch.setattr("human_edge_detection.runner.sample_data.make_sample_data", lambda plan, output_dir: None)
        return tmp_path / "experiments"

    return replace_python


def test_a_good_batch_ends_with_0_a_table_and_the_paths(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 0
    output = capsys.readouterr().out
    assert output.count("finished") == 3
    assert f"written: {output_dir.parent / 'experiment_comparison.csv'}" in output
    assert (output_dir.parent / "experiment_comparison.csv").read_text().count("\n") == 4


def test_a_failed_run_ends_with_1_and_is_in_the_comparison(children: Callable[..., Path]) -> None:
    output_dir = children(**{TEACHER: "failed"})
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 1
    runs = {run["run"]: run for run in json.loads((output_dir.parent / "experiment_runs.json").read_text())}
    assert {name: run["status"] for name, run in runs.items()} == {
        TEACHER: "failed",
        STUDENT: "finished",
        DISTILLED: "skipped",
    }
    assert runs[DISTILLED]["error"] == f"needs {TEACHER}, which is failed"


def test_an_interrupted_batch_ends_with_130_and_says_how_to_continue(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children(**{STUDENT: "interrupted"})
    assert main(["run", "--configs", "quickstart", "--output_dir", str(output_dir)]) == 130
    assert "give the same command again to continue" in capsys.readouterr().err


def run(output_dir: Path, *flags: str) -> int:
    return main(["run", "--configs", "quickstart", "--output_dir", str(output_dir), *flags])


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
        "human_edge_detection.runner.free_space.shutil.disk_usage", lambda place: SimpleNamespace(free=1_000)
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
        (("--hang_minutes", "-5"), "--hang_minutes -5: expected"),
        (("--hang_minutes", "nan"), "--hang_minutes nan: expected"),
        (("--restart", "--join"), "give one"),
    ],
)
def test_wrong_flags_are_one_line_and_write_nothing(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], error: str
) -> None:
    output_dir = children()
    assert run(output_dir, *flags) == 2
    assert error in capsys.readouterr().err
    assert not output_dir.exists()


def test_restart_trains_anew_and_says_so_first(
    children: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output_dir = children()
    assert run(output_dir) == 0
    (output_dir / STUDENT / "old").touch()
    capsys.readouterr()
    assert run(output_dir, "--restart") == 0
    assert f"restart: {output_dir / STUDENT} is deleted and trained anew" in capsys.readouterr().out
    assert not (output_dir / STUDENT / "old").exists()


def test_flags_become_options(children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Options] = []

    def note(runs: object, options: Options) -> BatchEnd:
        given.append(options)
        return BatchEnd((), None)

    monkeypatch.setattr("human_edge_detection.runner.supervise.supervise", note)
    output_dir = children()
    assert run(output_dir, "--retries", "2", "--hang_minutes", "0.5", "--fail_fast", "--export_onnx") == 0
    assert run(output_dir, "--skip_training") == 0
    assert given == [
        Options(output_dir, export_onnx=True, fail_fast=True, retries=2, hang_minutes=0.5),
        Options(output_dir, skip_training=True, retries=0, hang_minutes=60.0),
    ]


def test_comparing_a_folder_without_runs_writes_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "photographs"
    empty.mkdir()
    assert main(["compare", "--output_dir", str(empty)]) == 2
    assert list(tmp_path.iterdir()) == [empty]
    assert not any(empty.iterdir())
