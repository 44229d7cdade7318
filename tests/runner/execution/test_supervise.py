"""Children that finish, fail, are killed, hang or are interrupted; each is judged by its run folder."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_backends import CHILD_PAUSE, Calls, Steps
from made_up_runs import sha256_of, write_weights

from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.files.lock import is_held
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.ownership import take_folders
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.execution.supervise import BatchEnd, Hooks, Unshared, supervise
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths
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


class Timeline:
    """Children that take as many polls as told, and when each began and ended."""

    def __init__(self, workshop: Any, polls: Mapping[str, int]) -> None:
        self.children = workshop.children()
        self.polls = polls
        self.events: list[str] = []

    def __call__(self, command: Sequence[str]) -> Steps:
        name = Path(command[command.index("--resume") + 1]).name
        self.events.append(f"+{name}")
        for _ in range(self.polls.get(name, 0)):
            yield
        ended: Ended = self.children(command)
        self.events.append(f"-{name}")
        return ended


def run_at_once(workshop: Any, timeline: Timeline, **how: Any) -> BatchEnd:
    runs = plan(BatchRequest(names=(STUDENT, DISTILLED, TEACHER), output_dir=workshop.output_dir))
    take_folders(runs)
    return supervise(runs, Options(jobs=2), Calls(timeline), hooks=Hooks(pause=lambda _: None), **how)


def test_with_jobs_so_many_are_trained_at_once_each_after_what_it_requires(workshop: Any) -> None:
    timeline = Timeline(workshop, {TEACHER: 5, STUDENT: 2})
    end = run_at_once(workshop, timeline)
    assert [outcome.state for outcome in end.outcomes] == ["finished"] * 3
    began = [f"+{STUDENT}", f"+{TEACHER}", f"-{STUDENT}", f"-{TEACHER}", f"+{DISTILLED}", f"-{DISTILLED}"]
    assert timeline.events == began


class LittleMemory(Unshared):
    """Room for one run, and alone there seems to be too little, too."""

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        return "3 GiB are missing"


def test_a_run_without_room_beside_others_waits_and_starts_alone_with_a_warning(
    workshop: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("human_edge_detection"), "propagate", True)
    caplog.set_level("INFO", logger="human_edge_detection")
    timeline = Timeline(workshop, {TEACHER: 50, STUDENT: 50})
    end = run_at_once(workshop, timeline, sharing=LittleMemory())
    assert all(outcome.good for outcome in end.outcomes)
    assert [event[0] for event in timeline.events] == ["+", "-"] * 3
    said = {(record.levelname, record.getMessage()) for record in caplog.records if "missing" in record.getMessage()}
    assert ("INFO", f"{TEACHER} waits: 3 GiB are missing") in said
    assert sum(level == "INFO" for level, _ in said) == 1
    assert sum(level == "WARNING" for level, _ in said) == 3


def test_a_run_that_waits_for_its_next_attempt_holds_up_no_other(workshop: Any) -> None:
    end = workshop.batch(TEACHER, STUDENT, jobs=2, retries=1, **{TEACHER: "kill", STUDENT: "finish"})
    assert [outcome.state for outcome in end.outcomes] == ["killed", "finished"]
    assert workshop.trainings(TEACHER) == 2


@pytest.mark.parametrize(
    ("behaviour", "fail_fast", "states", "kind"),
    [
        ("exit 3", True, ["failed", "interrupted", "skipped"], type(None)),
        ("requeue", False, ["interrupted", "interrupted", "skipped"], Terminated),
    ],
)
def test_what_ends_a_batch_asks_the_other_children_to_save(
    workshop: Any, behaviour: str, fail_fast: bool, states: list[str], kind: type[BaseException]
) -> None:
    """A failure with ``fail_fast``, and a scheduler's signal to one child alone."""
    folder = workshop.output_dir

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if (folder / STUDENT / "listening").exists():
            (folder / TEACHER).mkdir(parents=True, exist_ok=True)
            (folder / TEACHER / "go").touch()

    behaviours = {TEACHER: f"when told {behaviour}", STUDENT: "wait for signal"}
    end = workshop.batch(*ALL, jobs=2, fail_fast=fail_fast, retries=2, pause=pause, **behaviours)
    assert [outcome.state for outcome in end.outcomes] == states
    assert isinstance(end.interrupt, kind)
    assert workshop.status(STUDENT)["state"] == "interrupted"


@pytest.mark.parametrize(
    ("behaviour", "numbers", "kind"),
    [
        ("wait for signal", [signal.SIGTERM], Terminated),
        ("wait for signal", [signal.SIGINT], KeyboardInterrupt),
        ("ignore signals", [signal.SIGINT] * 3, KeyboardInterrupt),
    ],
)
def test_a_signal_reaches_every_child(
    workshop: Any, behaviour: str, numbers: list[int], kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 60.0 if len(numbers) > 1 else 0.2
    monkeypatch.setattr("human_edge_detection.runner.execution.launch.ECHO_SECONDS", patience)
    ready = "listening" if behaviour == "wait for signal" else "ready"
    left = list(numbers)

    def pause(seconds: float) -> None:
        time.sleep(min(seconds, 0.05))
        if all((workshop.output_dir / name / ready).exists() for name in (TEACHER, STUDENT)):
            while left:
                os.kill(os.getpid(), left.pop())

    end = workshop.batch(*ALL, jobs=2, retries=2, pause=pause, **{TEACHER: behaviour, STUDENT: behaviour})
    assert [outcome.state for outcome in end.outcomes] == ["interrupted", "interrupted", "skipped"]
    assert type(end.interrupt) is kind
    assert [workshop.trainings(name) for name in (TEACHER, STUDENT)] == [1, 1]
    if len(numbers) == 1:
        assert {workshop.status(name)["state"] for name in (TEACHER, STUDENT)} == {"interrupted"}


@pytest.mark.parametrize("lost", [True, False])
def test_a_child_whose_machine_was_taken_back_is_started_again(workshop: Any, lost: bool) -> None:
    """It has saved its state; that alone would be a signal to the batch."""
    children, ends = workshop.children(**{STUDENT: "requeue"}), []

    def start(command: Sequence[str]) -> Ended:
        ended: Ended = children(command)
        ends.append(ended)
        children.behaviours = {}
        return ended._replace(lost=lost and len(ends) == 1)

    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    take_folders(runs)
    end = supervise(runs, Options(), Calls(start), hooks=Hooks(pause=lambda _: None))
    assert (end.outcomes[0].state, end.outcomes[0].attempts) == ("finished" if lost else "interrupted", 1)
    assert isinstance(end.interrupt, Terminated) != lost


@pytest.mark.parametrize(("retries", "starts"), [(0, 4), (1, 5)])
def test_a_run_that_loses_every_machine_without_getting_further_is_given_up(
    workshop: Any, retries: int, starts: int
) -> None:
    ends: list[Ended] = []

    def start(command: Sequence[str]) -> Ended:
        ends.append(Ended(0, -signal.SIGKILL, lost=True))
        return ends[-1]

    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    take_folders(runs)
    end = supervise(runs, Options(retries=retries), Calls(start), hooks=Hooks(pause=lambda _: None))
    assert end.outcomes[0].state == "killed"
    assert "its machine was lost or taken back" in str(end.outcomes[0].error)
    assert len(ends) == starts


def test_the_silence_of_a_child_in_a_queue_is_no_hang(workshop: Any) -> None:
    class Queue(Calls):
        def is_queued(self, job: Any) -> bool:
            return True

    timeline = Timeline(workshop, {STUDENT: 50})
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir))
    take_folders(runs)
    hooks = Hooks(pause=lambda _: None)
    end = supervise(runs, Options(hang_minutes=1.0 / 60), Queue(timeline), hooks=hooks)
    assert end.outcomes[0].good
