"""``hed verify-resume``: children that are killed and started again."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.errors import HumanEdgeDetectionError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.selfcheck.verify_resume import ChildRun, steps_to_kill_at, verify_resume

pytestmark = pytest.mark.usefixtures("small_networks")

MakeRun = Callable[[str], ChildRun]
COUNTS_ON = """
import json, os, pathlib, time
latest = pathlib.Path("{latest}")
step = json.loads(latest.read_text())["step"] if latest.exists() else 0
while step < 20:
    step += 1
    print("step", step, flush=True)
    temporary = latest.with_suffix(".tmp")
    temporary.write_text(json.dumps({summary} | {{"step": step}}))
    os.replace(temporary, latest)
    time.sleep(0.1)
"""


SUMMARY = {"experiment": "e", "sha256": "0", "epoch": 0, "metrics": {}, "data_fingerprint": "f"}


@pytest.fixture
def child_run(tmp_path: Path) -> MakeRun:
    """``child_run(code)``: children that run this Python code, ``{latest}`` being the summary of their checkpoint."""
    run = RunPaths(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    latest = run.latest.with_suffix(".json")

    def make(code: str) -> ChildRun:
        return ChildRun(
            run, [sys.executable, "-S", "-c", code.format(latest=latest, summary=SUMMARY)], tmp_path / "output.txt"
        )

    return make


def test_a_child_is_killed_once_it_has_saved_a_step_of_its_own(child_run: MakeRun, tmp_path: Path) -> None:
    counting = child_run(COUNTS_ON)
    assert counting.steps_saved() == 0
    first, second, third = (counting.kill_after(step) or 0 for step in (2, 2, 5))
    assert 2 <= first < second < third < 20
    assert third >= 5
    counting.finish()
    assert counting.steps_saved() == 20
    printed = (tmp_path / "output.txt").read_text().split()
    assert {int(step) for step in printed[1::2]} == set(range(1, 21))


def test_a_child_that_finishes_first_was_not_killed(child_run: MakeRun) -> None:
    assert child_run(COUNTS_ON).kill_after(99) is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('log'); sys.stderr.write('error: no data: give some\\n'); sys.exit(2)", "^no data: give"),
        ("raise RuntimeError('out of luck')", r"exit code 1 \(RuntimeError: out of luck\); hed train with"),
        ("import os; os.kill(os.getpid(), 9)", r"exit code -9 \(it said nothing\)"),
    ],
)
def test_what_a_failed_child_said_is_told(child_run: MakeRun, code: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        child_run(code).finish()
    with pytest.raises(TrainingError, match=message):
        child_run(code).kill_after(1)


def test_no_child_outlives_its_parents_end(child_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    counting = child_run(COUNTS_ON)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(time, "sleep", interrupt)
        counting.kill_after(20)
    stopped_at = counting.steps_saved()
    assert stopped_at < 20
    time.sleep(0.3)
    assert counting.steps_saved() == stopped_at


@pytest.mark.parametrize(
    ("steps", "kills", "expected"),
    [(8, 3, [2, 4, 6]), (8, 1, [2]), (4, 3, [1, 2, 3]), (2, 3, [1]), (2, 1, [1]), (20, 2, [5, 10])],
)
def test_kills_lie_within_the_run(steps: int, kills: int, expected: list[int]) -> None:
    assert steps_to_kill_at(steps, kills) == expected


def test_a_user_error_is_told_before_anything_is_trained(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(tiny_config, name="nowhere", data={"root": str(tmp_path / "nowhere")})
    with pytest.raises(HumanEdgeDetectionError, match="nowhere does not exist"):
        verify_resume(config, tmp_path)


@pytest.mark.slow
def test_a_real_run_is_killed_and_identical(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(tiny_config, name="real", data={"num_workers": 1}, training={"ema": {"decay": 0.9}})
    verification = verify_resume(config, tmp_path)
    assert verification.difference is None
    assert verification.steps == 8
    assert len(verification.killed_after) == 3
    assert verification.tensors > 1000
    assert verification.device == "cpu"
