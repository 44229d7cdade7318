"""Scripts in place of trainings, for whole batches."""

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runs.paths import RunPaths

CHILD = """#!{python}
import json, os, sys
from pathlib import Path

values = dict(zip(sys.argv, sys.argv[1:]))
root = Path(values["--resume"])
config = json.loads((root / "config.json").read_text())
state = {states}.get(config["name"], "finished")
(root / "checkpoints").mkdir(parents=True, exist_ok=True)
if state == "finished":
    (root / "result.json").write_text(Path("{result}").read_text())
    (root / "checkpoints" / "best_model.pth").touch()
status = {{"state": state, "epochs": config["training"]["epochs"], "pid": os.getpid(), "host": "h"}}
status |= {{"started": "", "updated": ""}}
(root / "status.json").write_text(json.dumps(status))
"""


@pytest.fixture
def children(
    tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """``children(experiment=state)`` puts a script in the interpreter's place; returns the output folder."""
    template = write_run(tmp_path / "template", get_config("quickstart_student_b0"))

    def replace_python(**states: str) -> Path:
        script = tmp_path / "python"
        script.write_text(CHILD.format(python=sys.executable, states=states, result=template.result))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr("human_edge_detection.runner.execution.retry.sys.executable", str(script))
        monkeypatch.setattr("human_edge_detection.runner.backends.standby.LEAST_MEMORY", float("inf"))  # none stands by
        monkeypatch.setattr(
            "human_edge_detection.runner.run_experiments.make_sample_data", lambda plan, output_dir: None
        )
        return tmp_path / "experiments"

    return replace_python
