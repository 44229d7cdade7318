"""How a run ended, from its folder and its child."""

from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.execution.outcome import judge
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section

STUDENT = "quickstart_student_b0"


@pytest.mark.parametrize("same_pid", [True, False])
def test_a_status_of_an_earlier_process_is_not_taken_for_this_one(
    tmp_path: Path, write_run: Callable[..., RunPaths], same_pid: bool
) -> None:
    paths = write_run(tmp_path / "run", get_config(STUDENT), state="failed")
    before = read_section(RunStatus, paths.status)
    assert before is not None
    state, error = judge(paths, Ended(pid=before.pid if same_pid else 1, returncode=-9), before)
    assert state == "killed"
    assert "out of luck" not in str(error)
