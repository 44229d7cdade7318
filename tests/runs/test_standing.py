"""What a run says of itself counts when it is true of its folder and its lock."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import write_weights

from human_edge_detection.errors import StorageError
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import write_json
from human_edge_detection.runs import standing
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.runs.standing import Standing, standing_of

WriteRun = Callable[..., RunPaths]
GONE = 2**22 + 1
"""No process has this id."""


def standing_now(paths: RunPaths, **changes: Any) -> Standing:
    if changes:
        write_json(paths.status, json.loads(paths.status.read_text()) | changes)
    return standing_of(paths, read_section(RunStatus, paths.status))


@pytest.fixture
def running(tmp_path: Path, write_run: WriteRun) -> RunPaths:
    """A run that says running, by this very process."""
    return write_run(tmp_path / "run", get_config("quickstart_student_b0"), state="running")


@pytest.mark.parametrize("process", [{}, {"pid": 1}, {"pid": GONE}, {"host": "elsewhere"}], ids=str)
def test_who_holds_the_lock_tells_whether_a_run_is_running_and_no_process_id(
    process: dict[str, Any], running: RunPaths
) -> None:
    found = standing_now(running, **process)
    assert found.state == "killed"
    assert "nobody works on it" in str(found.reason)
    with hold(running.lock, "the run", advice="wait"):
        assert standing_now(running) == ("running", None)
    assert standing_now(running).state == "killed"


def test_without_a_lock_to_look_at_the_process_of_this_machine_tells(
    running: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(lock: Path) -> bool:
        raise StorageError("it cannot be locked")

    monkeypatch.setattr(standing, "is_held", refuse)
    assert standing_now(running).state == "running"
    assert standing_now(running, pid=GONE).state == "killed"
    assert standing_now(running, host="elsewhere").state == "running"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda paths: paths.result.unlink(), "result.json is missing"),
        (lambda paths: paths.best.unlink(), "best_model.pth is missing"),
        (lambda paths: paths.best.write_bytes(b""), "best_model.pth is damaged: 0 bytes"),
    ],
)
def test_a_finished_run_that_is_not_whole_is_damaged(
    spoil: Callable[[RunPaths], object], words: str, tmp_path: Path, write_run: WriteRun
) -> None:
    paths = write_run(tmp_path / "run", get_config("quickstart_student_b0"))
    write_weights(paths.best, "weights")
    assert standing_now(paths) == ("finished", None)
    spoil(paths)
    found = standing_now(paths)
    assert (found.state, words in str(found.reason)) == ("damaged", True)


def test_what_failed_says_why_and_what_never_began_is_unknown(tmp_path: Path, write_run: WriteRun) -> None:
    paths = write_run(tmp_path / "run", get_config("quickstart_student_b0"), state="failed")
    assert standing_now(paths) == ("failed", "out of luck")
    assert standing_of(paths, None) == ("unknown", None)
