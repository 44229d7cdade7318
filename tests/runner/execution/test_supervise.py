"""Children that finish, fail, are killed, hang or are interrupted; each is judged by its run folder."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_backends import CHILD_PAUSE, Calls, Steps
from made_up_runs import sha256_of, write_weights

from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.files.lock import is_held
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.execution.outcome import Outcome, judge
from human_edge_detection.runner.execution.ownership import take_folders
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.execution.supervise import BatchEnd, Hooks, supervise
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.signals import Terminated

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = ALL = expand(["quickstart"])[:3]
HANG = 2.0 / 60
"""Minutes; long beside the start of a child on a busy machine."""


def by_name(end: BatchEnd) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in end.outcomes}


def test_all_finish(workshop: Any) -> None:
    end = workshop.batch(*ALL)
    assert [outcome.state for outcome in end.outcomes] == ["finished"] * 3
    assert all(outcome.good for outcome in end.outcomes)
    assert end.interrupt is None


@pytest.mark.parametrize(
    ("behaviour", "state", "error"),
    [
        ("exit 3", "failed", "ended with exit code 3"),
        ("raise", "failed", "loss is not finite at step 7"),
        ("kill", "killed", "killed by SIGKILL"),
        ("lie", "failed", "ended with exit code 0 and left no final status"),
        ("hang", "hung", "no sign of life"),
        ("ignore signals", "hung", "no sign of life"),
    ],
)
def test_a_bad_child_is_reported_and_the_others_go_on(workshop: Any, behaviour: str, state: str, error: str) -> None:
    outcomes = by_name(workshop.batch(*ALL, hang_minutes=HANG, **{STUDENT: behaviour}))
    assert outcomes[STUDENT].state == state
    assert error in str(outcomes[STUDENT].error)
    assert not is_held(RunPaths(workshop.output_dir / STUDENT).lock)  # it has gone, whatever it did
    assert outcomes[TEACHER].good
    assert outcomes[DISTILLED].good


@pytest.mark.parametrize("behaviour", ["finish badly", "finish and crash", "hang after the end"])
def test_the_run_folder_decides_not_the_exit_code(workshop: Any, behaviour: str) -> None:
    assert by_name(workshop.batch(STUDENT, hang_minutes=HANG, **{STUDENT: behaviour}))[STUDENT].good


@pytest.mark.slow
def test_of_twenty_runs_five_fail_in_five_ways_and_fifteen_finish(workshop: Any) -> None:
    bad = {3: "exit 3", 7: "kill", 11: "hang", 13: "raise", 19: "lie"}
    behaviours = {f"{STUDENT}/seed_{seed}": behaviour for seed, behaviour in bad.items()}
    end = workshop.batch(STUDENT, seeds=tuple(range(20)), hang_minutes=HANG, **behaviours)
    reported = {outcome.name: (outcome.state, outcome.error) for outcome in end.outcomes if not outcome.good}
    assert {name: state for name, (state, _) in reported.items()} == {
        f"{STUDENT}/seed_3": "failed",
        f"{STUDENT}/seed_7": "killed",
        f"{STUDENT}/seed_11": "hung",
        f"{STUDENT}/seed_13": "failed",
        f"{STUDENT}/seed_19": "failed",
    }
    assert len({error for _, error in reported.values()}) == 5
    assert sum(outcome.good for outcome in end.outcomes) == 15
    assert all(workshop.trainings(outcome.name) == 1 for outcome in end.outcomes)


def test_what_depends_on_a_failed_run_is_skipped_with_the_reason(workshop: Any) -> None:
    outcomes = by_name(workshop.batch(*ALL, **{TEACHER: "exit 3"}))
    assert outcomes[DISTILLED] == Outcome(DISTILLED, "skipped", f"needs {TEACHER}, which is failed")
    assert outcomes[STUDENT].good
    assert workshop.trainings(DISTILLED) == 0


def test_fail_fast_stops(workshop: Any) -> None:
    end = workshop.batch(*ALL, fail_fast=True, **{TEACHER: "exit 3"})
    assert [outcome.state for outcome in end.outcomes] == ["failed", "skipped", "skipped"]


@pytest.mark.parametrize(("behaviour", "kind"), [("interrupt", KeyboardInterrupt), ("requeue", Terminated)])
def test_an_interrupted_child_stops_the_batch(workshop: Any, behaviour: str, kind: type[BaseException]) -> None:
    end = workshop.batch(*ALL, retries=3, **{TEACHER: behaviour})
    assert [outcome.state for outcome in end.outcomes] == ["interrupted", "skipped", "skipped"]
    assert type(end.interrupt) is kind
    assert workshop.trainings(TEACHER) == 1


def test_a_signal_during_the_last_moment_of_a_run_stops_the_batch_and_keeps_the_run(workshop: Any) -> None:
    children = workshop.children()

    def start(command: Sequence[str]) -> Ended:
        ended: Ended = children(command)
        os.kill(os.getpid(), signal.SIGTERM)
        return ended

    runs = plan(BatchRequest(names=tuple(ALL), output_dir=workshop.output_dir))
    take_folders(runs)
    end = supervise(runs, Options(), Calls(start))
    assert [outcome.state for outcome in end.outcomes] == ["finished", "skipped", "skipped"]
    assert isinstance(end.interrupt, Terminated)


def test_a_signal_between_two_children_ends_the_batch_cleanly(workshop: Any, write_run: WriteRun) -> None:
    write_run(workshop.output_dir / STUDENT, get_config(STUDENT))

    def signalled_between_attempts(seconds: float) -> None:
        if seconds > CHILD_PAUSE:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            time.sleep(seconds)

    end = workshop.batch(*ALL, retries=1, pause=signalled_between_attempts, **{TEACHER: "kill"})
    assert {name: outcome.state for name, outcome in by_name(end).items()} == {
        TEACHER: "interrupted",
        DISTILLED: "skipped",
        STUDENT: "finished",
    }
    assert isinstance(end.interrupt, Terminated)


def test_the_same_batch_again_continues(workshop: Any) -> None:
    workshop.batch(*ALL, **{TEACHER: "kill"})
    assert all(outcome.good for outcome in workshop.batch(*ALL).outcomes)
    assert [workshop.trainings(name) for name in (TEACHER, STUDENT, DISTILLED)] == [2, 1, 1]


class Waits:
    """Notes how long a batch waited in all, but for its children."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, seconds: float) -> None:
        if seconds > CHILD_PAUSE:
            self.seconds += seconds
        else:
            time.sleep(seconds)


def test_retries_start_a_run_again_in_its_folder_with_growing_pauses(workshop: Any) -> None:
    waits = Waits()
    outcome = by_name(workshop.batch(STUDENT, retries=5, pause=waits, **{STUDENT: "third time lucky"}))[STUDENT]
    assert outcome == Outcome(STUDENT, "finished", attempts=3)
    assert waits.seconds == pytest.approx(5 + 10)
    assert workshop.trainings(STUDENT) == 3


def test_retries_end_and_the_pause_has_a_limit(workshop: Any) -> None:
    waits = Waits()
    outcome = by_name(workshop.batch(STUDENT, retries=8, pause=waits, **{STUDENT: "kill"}))[STUDENT]
    assert (outcome.state, outcome.attempts) == ("killed", 9)
    assert "9 attempts" in str(outcome.error)
    assert waits.seconds == pytest.approx(5 + 10 + 20 + 40 + 80 + 160 + 300 + 300)


def test_an_error_of_the_user_is_tried_again_only_after_progress(workshop: Any) -> None:
    outcomes = by_name(workshop.batch(STUDENT, retries=3, **{STUDENT: "raise"}))
    assert (outcomes[STUDENT].state, outcomes[STUDENT].attempts) == ("failed", 1)
    outcomes = by_name(workshop.batch(TEACHER, retries=3, **{TEACHER: "fail further on"}))
    assert (outcomes[TEACHER].state, outcomes[TEACHER].attempts) == ("failed", 4)


def test_a_run_that_fails_at_the_same_step_in_the_same_way_is_not_tried_for_ever(workshop: Any) -> None:
    outcomes = by_name(workshop.batch(STUDENT, retries=5, **{STUDENT: "fail the same way"}))
    assert (outcomes[STUDENT].state, outcomes[STUDENT].attempts) == ("failed", 2)


def test_skip_training_does_not_use_what_is_damaged_and_says_so(workshop: Any, write_run: WriteRun) -> None:
    paths = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    write_weights(paths.best, "weights")
    paths.best.write_bytes(b"garbage")
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir, as_it_is=True))
    [outcome] = supervise(runs, Options(skip_training=True), workshop.children()).outcomes
    assert outcome.state == "skipped"
    assert "best_model.pth is damaged" in str(outcome.error)
    assert "--skip_training trains nothing" in str(outcome.error)


def test_skip_training_trains_nothing(tmp_path: Path, workshop: Any) -> None:
    runs = plan(BatchRequest(names=(TEACHER,), output_dir=workshop.output_dir))
    [outcome] = supervise(runs, Options(skip_training=True), workshop.children()).outcomes
    assert outcome.state == "skipped"
    assert not workshop.output_dir.exists()


def test_a_damaged_run_folder_fails_that_run_alone(workshop: Any) -> None:
    workshop.batch(STUDENT)
    runs = plan(BatchRequest(names=(STUDENT, TEACHER), output_dir=workshop.output_dir))
    take_folders(runs)
    (workshop.output_dir / STUDENT / "status.json").write_text("{}")
    end = supervise(runs, Options(), workshop.children())
    assert [outcome.state for outcome in end.outcomes] == ["failed", "finished"]


@pytest.mark.parametrize("same_pid", [True, False])
def test_a_status_of_an_earlier_process_is_not_taken_for_this_one(
    tmp_path: Path, write_run: WriteRun, same_pid: bool
) -> None:
    paths = write_run(tmp_path / "run", get_config(STUDENT), state="failed")
    before = read_section(RunStatus, paths.status)
    assert before is not None
    state, error = judge(paths, Ended(pid=before.pid if same_pid else 1, returncode=-9), before)
    assert state == "killed"
    assert "out of luck" not in str(error)


def test_a_finished_student_of_a_teacher_that_was_trained_anew_is_stale(workshop: Any, write_run: WriteRun) -> None:
    """The teacher is trained in this batch, so the plan could not see it."""
    teacher = RunPaths(workshop.output_dir / TEACHER)
    request = BatchRequest(names=(DISTILLED, TEACHER), output_dir=workshop.output_dir)
    distilled = plan(request)[-1]
    reserve(distilled.paths, distilled.full_config, distilled.contents)
    fields = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": "a" * 64}
    write_run(distilled.paths.root, distilled.full_config, **fields)
    children = workshop.children()

    def start(command: Sequence[str]) -> Ended:
        ended: Ended = children(command)
        write_weights(teacher.best, "new")
        return ended

    runs = plan(request)
    take_folders(runs)
    end = supervise(runs, Options(), Calls(start))
    assert [outcome.state for outcome in end.outcomes] == ["finished", "stale"]
    assert f"sha256 aaaaaaaaaaaa then, {sha256_of('new')[:12]} now" in str(end.outcomes[1].error)


def export_batch(workshop: Any, write_run: WriteRun, start: Callable[..., Ended]) -> Outcome:
    paths = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    write_weights(paths.best, "new")
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    [outcome] = supervise(runs, Options(export_onnx=True), Calls(start)).outcomes
    return outcome


def exporter(difference: float | None, weights: str = "new", problem: str | None = None) -> Callable[..., Ended]:
    def export(command: Sequence[str]) -> Ended:
        paths = RunPaths(Path(command[command.index("--checkpoint") + 1]).parent.parent)
        paths.onnx.write_bytes(b"1")
        if difference is not None:
            report = {"onnx": str(paths.onnx), "checkpoint_sha256": sha256_of(weights), "opset": 18, "size_bytes": 1}
            report |= {"tolerance": 1e-4, "max_difference": difference, "mask_iou": 1.0, "problem": problem}
            paths.parity.write_text(json.dumps(report | {"passed": difference < 1e-4, "cases": []}))
        return Ended(1, 0)

    return export


@pytest.mark.parametrize(
    ("difference", "problem", "error"),
    [
        (1e-6, None, None),
        (0.5, "probabilities of masks differ", "export: probabilities of masks differ"),
        (0.5, None, "export: differs from PyTorch by 0.5, allowed 0.0001"),  # as older versions wrote it
        (None, None, "export: ended with exit code 0"),
    ],
)
def test_an_export_is_judged_by_its_parity_report(
    workshop: Any, write_run: WriteRun, difference: float | None, problem: str | None, error: str | None
) -> None:
    outcome = export_batch(workshop, write_run, exporter(difference, problem=problem))
    assert outcome.state == "finished"
    assert outcome.good == (error is None)
    assert (outcome.error or "").startswith(error or "")


def test_what_is_exported_is_not_exported_again_until_the_checkpoint_changes(
    workshop: Any, write_run: WriteRun
) -> None:
    def must_not_start(command: Sequence[str]) -> Ended:
        raise AssertionError(command)

    export_batch(workshop, write_run, exporter(1e-6, weights="old"))
    with pytest.raises(AssertionError):
        export_batch(workshop, write_run, must_not_start)
    assert export_batch(workshop, write_run, exporter(1e-6)).good
    assert export_batch(workshop, write_run, must_not_start).good


def exporting(workshop: Any, report: Callable[..., Ended], launched: list[Sequence[str]]) -> Callable[..., Ended]:
    """Children that train and then export."""
    children = workshop.children()

    def start(command: Sequence[str]) -> Ended:
        launched.append(command)
        ended: Ended = children(command)
        paths = RunPaths(Path(command[command.index("--resume") + 1]))
        write_weights(paths.best, "new")
        report(["--checkpoint", str(paths.best)])
        return ended

    return start


@pytest.mark.parametrize(
    ("difference", "error"),
    [(1e-6, ""), (0.5, "export: differs from PyTorch by 0.5"), (None, "export: ended with exit code 0")],
)
def test_the_child_that_trains_a_run_exports_it_too(workshop: Any, difference: float | None, error: str) -> None:
    launched: list[Sequence[str]] = []
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    take_folders(runs)
    start = exporting(workshop, exporter(difference), launched)
    [outcome] = supervise(runs, Options(export_onnx=True, retries=3), Calls(start)).outcomes
    assert [command[-1] for command in launched] == ["--export_onnx"]  # neither trained nor exported again
    assert (outcome.state, outcome.good) == ("finished", not error)
    assert (outcome.error or "").startswith(error)


def test_a_run_interrupted_in_its_export_is_exported_when_the_batch_goes_on(workshop: Any) -> None:
    launched: list[Sequence[str]] = []
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    take_folders(runs)
    start = exporting(workshop, exporter(None), launched)

    def interrupted(command: Sequence[str]) -> Ended:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(command)._replace(returncode=75)

    end = supervise(runs, Options(export_onnx=True), Calls(interrupted))
    assert end.outcomes == (
        Outcome(STUDENT, "interrupted", "interrupted in its export; the same command again continues", attempts=1),
    )
    assert isinstance(end.interrupt, Terminated)
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    assert supervise(runs, Options(export_onnx=True), Calls(exporter(1e-6))).outcomes[0].good
    assert workshop.trainings(STUDENT) == 1


@pytest.mark.parametrize(("export_onnx", "epochs_before"), [(True, 0), (False, 1)])
def test_what_comes_next_is_prepared_when_a_run_is_about_to_end(
    workshop: Any, export_onnx: bool, epochs_before: int
) -> None:
    children = workshop.children()
    prepared: list[tuple[str, int]] = []
    now = ("", 0)

    def start(command: Sequence[str]) -> Steps:
        nonlocal now
        root = Path(command[command.index("--resume") + 1])
        epochs = get_config(root.name).training.epochs
        for epoch in range(epochs + 1):
            status = {"state": "running", "epoch": epoch, "epochs": epochs, "pid": 1, "host": "h"}
            (root / "status.json").write_text(json.dumps(status | {"started": "", "updated": ""}))
            now = (root.name, epochs - epoch)
            yield
        ended: Ended = children(command)
        return ended

    runs = plan(BatchRequest(names=tuple(ALL), output_dir=workshop.output_dir))
    take_folders(runs)
    hooks = Hooks(ahead=lambda: prepared.append(now), pause=lambda _: None)
    supervise(runs, Options(export_onnx=export_onnx), Calls(start), hooks=hooks)
    left = {name: max(before for run, before in prepared if run == name) for name, _ in prepared}
    assert left == {runs[0].name: epochs_before, runs[1].name: epochs_before}  # nothing comes after the last
