"""Children that finish, fail, are killed or interrupted; each is judged by its run folder."""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest

from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.runner.launch import Ended, launch
from human_edge_detection.runner.plan import BatchRequest, plan
from human_edge_detection.runner.supervise import Options, Outcome, judge, supervise

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])

CHILD = dedent(
    """
    import json, os, signal, sys
    from pathlib import Path

    behaviours, config = json.loads(sys.argv[1]), sys.argv[2]
    root = Path(sys.argv[3])
    (root / "checkpoints").mkdir(parents=True, exist_ok=True)
    with (root / "launches").open("a") as log:
        log.write("launched\\n")

    def status(state, error=None):
        fields = {"state": state, "epochs": 2, "error": error, "pid": os.getpid(), "host": "h"}
        (root / "status.json").write_text(json.dumps({**fields, "started": "", "updated": ""}))

    def finish():
        (root / "result.json").write_text(Path(sys.argv[4]).read_text())
        (root / "checkpoints" / "best_model.pth").touch()
        status("finished")

    behaviour = behaviours.get(config, "finish")
    status("running")
    if behaviour == "finish":
        finish()
    elif behaviour == "exit 3":
        sys.exit(3)
    elif behaviour == "raise":
        status("failed", "loss is not finite at step 7")
        sys.exit(2)
    elif behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "interrupt":
        status("interrupted")
        sys.exit(130)
    elif behaviour == "lie":
        sys.exit(0)
    elif behaviour == "finish badly":
        finish()
        sys.exit(1)
    """
)


class Children:
    """Starts tiny scripts instead of trainings; ``behaviours`` says by experiment what each does."""

    def __init__(self, result: Path, **behaviours: str) -> None:
        self.result = result
        self.behaviours = behaviours

    def __call__(self, command: Sequence[str]) -> Ended:
        values = dict(pairwise(command))
        folder = Path(values["--output_dir"]) / values["--run_name"]
        arguments = [json.dumps(self.behaviours), values["--config"], str(folder), str(self.result)]
        return launch([sys.executable, "-c", CHILD, *arguments])


@pytest.fixture
def result(tmp_path: Path, write_run: WriteRun) -> Path:
    return write_run(tmp_path / "template", get_config(STUDENT)).result


def run_batch(tmp_path: Path, result: Path, *, fail_fast: bool = False, **behaviours: str) -> dict[str, Outcome]:
    output_dir = tmp_path / "experiments"
    runs = plan(BatchRequest(names=(TEACHER, STUDENT, DISTILLED), output_dir=output_dir))
    outcomes = supervise(runs, Options(output_dir, fail_fast=fail_fast), start=Children(result, **behaviours))
    return {outcome.name: outcome for outcome in outcomes}


def launches(tmp_path: Path, name: str) -> int:
    log = tmp_path / "experiments" / name / "launches"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_all_finish(tmp_path: Path, result: Path) -> None:
    outcomes = run_batch(tmp_path, result)
    assert [outcome.state for outcome in outcomes.values()] == ["finished"] * 3
    assert all(outcome.good for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("behaviour", "state", "error"),
    [
        ("exit 3", "failed", "ended with exit code 3"),
        ("raise", "failed", "loss is not finite at step 7"),
        ("kill", "killed", "killed by SIGKILL"),
        ("lie", "failed", "ended with exit code 0 and left no final status"),
    ],
)
def test_a_bad_child_is_reported_and_the_others_go_on(
    tmp_path: Path, result: Path, behaviour: str, state: str, error: str
) -> None:
    outcomes = run_batch(tmp_path, result, **{STUDENT: behaviour})
    assert outcomes[STUDENT].state == state
    assert error in str(outcomes[STUDENT].error)
    assert outcomes[TEACHER].good
    assert outcomes[DISTILLED].good


def test_the_run_folder_decides_not_the_exit_code(tmp_path: Path, result: Path) -> None:
    assert run_batch(tmp_path, result, **{STUDENT: "finish badly"})[STUDENT].good


def test_what_depends_on_a_failed_run_is_skipped_with_the_reason(tmp_path: Path, result: Path) -> None:
    outcomes = run_batch(tmp_path, result, **{TEACHER: "exit 3"})
    assert outcomes[DISTILLED] == Outcome(DISTILLED, "skipped", f"needs {TEACHER}, which is failed")
    assert outcomes[STUDENT].good
    assert launches(tmp_path, DISTILLED) == 0


def test_fail_fast_stops(tmp_path: Path, result: Path) -> None:
    outcomes = run_batch(tmp_path, result, fail_fast=True, **{TEACHER: "exit 3"})
    assert [outcome.state for outcome in outcomes.values()] == ["failed", "skipped", "skipped"]


def test_an_interruption_stops_the_batch(tmp_path: Path, result: Path) -> None:
    outcomes = run_batch(tmp_path, result, **{TEACHER: "interrupt"})
    assert [outcome.state for outcome in outcomes.values()] == ["interrupted", "skipped", "skipped"]


def test_the_same_batch_again_continues(tmp_path: Path, result: Path) -> None:
    run_batch(tmp_path, result, **{TEACHER: "kill"})
    outcomes = run_batch(tmp_path, result)
    assert all(outcome.good for outcome in outcomes.values())
    assert [launches(tmp_path, name) for name in (TEACHER, STUDENT, DISTILLED)] == [2, 1, 1]


def test_skip_training_trains_nothing(tmp_path: Path, result: Path) -> None:
    output_dir = tmp_path / "experiments"
    runs = plan(BatchRequest(names=(TEACHER,), output_dir=output_dir))
    [outcome] = supervise(runs, Options(output_dir, skip_training=True), start=Children(result))
    assert outcome.state == "skipped"
    assert not output_dir.exists()


def test_restart_deletes_the_folder_first(tmp_path: Path, result: Path) -> None:
    output_dir = tmp_path / "experiments"
    run_batch(tmp_path, result)
    (output_dir / STUDENT / "old").touch()
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=output_dir, restart=True))
    assert supervise(runs, Options(output_dir), start=Children(result))[0].good
    assert not (output_dir / STUDENT / "old").exists()
    assert launches(tmp_path, TEACHER) == 1


def test_a_status_of_an_earlier_process_is_not_taken_for_this_one(tmp_path: Path, write_run: WriteRun) -> None:
    paths = write_run(tmp_path / "run", get_config(STUDENT), state="failed")
    state, error = judge(paths, Ended(pid=1, returncode=2))
    assert state == "failed"
    assert "out of luck" not in str(error)


def export_batch(tmp_path: Path, write_run: WriteRun, start: Callable[[Sequence[str]], Ended]) -> Outcome:
    output_dir = tmp_path / "experiments"
    write_run(output_dir / STUDENT, get_config(STUDENT))
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=output_dir))
    [outcome] = supervise(runs, Options(output_dir, export_onnx=True), start=start)
    return outcome


@pytest.mark.parametrize(
    ("difference", "error"),
    [
        (1e-6, None),
        (0.5, "export: differs from PyTorch by 0.5, allowed 0.0001"),
        (None, "export: ended with exit code 0"),
    ],
)
def test_an_export_is_judged_by_its_parity_report(
    tmp_path: Path, write_run: WriteRun, difference: float | None, error: str | None
) -> None:
    def export(command: Sequence[str]) -> Ended:
        checkpoint = Path(command[command.index("--checkpoint") + 1])
        paths = RunPaths(checkpoint.parent.parent)
        paths.onnx.touch()
        if difference is not None:
            report = {
                "onnx": str(paths.onnx),
                "checkpoint_sha256": "0",
                "opset": 18,
                "size_bytes": 1,
                "tolerance": 1e-4,
            }
            report |= {"max_difference": difference, "mask_iou": 1.0, "passed": difference < 1e-4, "cases": []}
            paths.parity.write_text(json.dumps(report))
        return Ended(1, 0)

    outcome = export_batch(tmp_path, write_run, export)
    assert outcome.state == "finished"
    assert outcome.good == (error is None)
    assert (outcome.error or "").startswith(error or "")
    if outcome.good:
        assert export_batch(tmp_path, write_run, export).good
