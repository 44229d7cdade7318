"""``hed run`` from its arguments to its exit code, with scripts in place of trainings."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.runner import supervise

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])

CHILD = """#!{python}
import json, os, sys
from pathlib import Path

values = dict(zip(sys.argv, sys.argv[1:]))
root = Path(values["--output_dir"]) / values["--run_name"]
state = {states}.get(values["--config"], "finished")
(root / "checkpoints").mkdir(parents=True)
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
        monkeypatch.setattr(supervise, "make_sample_data", lambda plan, output_dir: None)
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
