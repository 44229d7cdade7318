"""Several batches and trainings in one output folder: every experiment is trained once."""

import logging
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_backends import CHILD_PAUSE

from human_edge_detection.errors import BusyError, ConfigError
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.files.lock import is_held
from human_edge_detection.runner.execution.ownership import batch_claim, take_folders
from human_edge_detection.runner.execution.plan import check_plan, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.supervise import BatchEnd
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.lookup.reservation import run_claim
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = ALL = expand(["quickstart"])[:3]


@pytest.mark.parametrize("seeds", [None, (0, 1, 2)])
def test_two_batches_train_each_run_once_and_both_use_all(workshop: Any, seeds: tuple[int, ...] | None) -> None:
    def work(_: int) -> BatchEnd:
        end: BatchEnd = workshop.batch(*ALL, seeds=seeds)
        return end

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(work, range(2)))
    names = [outcome.name for outcome in ends[0].outcomes]
    assert len(names) == 3 * len(seeds or (0,))
    assert all(outcome.good for end in ends for outcome in end.outcomes)
    assert {name: workshop.trainings(name) for name in names} == dict.fromkeys(names, 1)
    assert all(any(outcome.attempts for outcome in end.outcomes) for end in ends)  # they shared the work


@pytest.fixture
def elsewhere(workshop: Any) -> Any:
    """``elsewhere(behaviour)``: some other process trains the teacher, and ends so at the batch's third pause."""
    trainings: list[subprocess.Popen[bytes]] = []

    def begin(behaviour: str) -> Callable[[float], None]:
        folder = workshop.output_dir / TEACHER
        process = subprocess.Popen(workshop.command(TEACHER, f"when told {behaviour}"))
        trainings.append(process)
        while not (folder / "ready").exists():
            assert process.poll() is None
            time.sleep(0.01)
        pauses: list[float] = []

        def tell_it_at_the_third_pause(seconds: float) -> None:
            if seconds < CHILD_PAUSE:  # for a child of the batch
                time.sleep(seconds)
                return
            pauses.append(seconds)
            if len(pauses) == 1:
                assert workshop.trainings(STUDENT) == 1  # what could be done was done first
            if len(pauses) == 3:
                (folder / "go").touch()
                process.wait()

        return tell_it_at_the_third_pause

    yield begin
    for process in trainings:
        process.kill()
        process.wait()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("human_edge_detection"), "propagate", True)
    caplog.set_level("INFO", logger="human_edge_detection")
    return caplog


def test_a_student_waits_for_a_teacher_that_is_trained_elsewhere(
    workshop: Any, elsewhere: Any, log: pytest.LogCaptureFixture
) -> None:
    end = workshop.batch(*ALL, pause=elsewhere("finish"))
    assert all(outcome.good for outcome in end.outcomes)
    assert {outcome.name: outcome.attempts for outcome in end.outcomes} == {TEACHER: 0, STUDENT: 1, DISTILLED: 1}
    waits = [record.getMessage() for record in log.records if record.getMessage().startswith("waiting")]
    assert len(waits) == 1
    assert waits[0].startswith(f"waiting for {TEACHER}: trained by process ")


def test_a_run_that_fails_elsewhere_is_reported_and_not_tried(workshop: Any, elsewhere: Any) -> None:
    end = workshop.batch(*ALL, pause=elsewhere("raise"))
    assert [outcome.state for outcome in end.outcomes] == ["failed", "finished", "skipped"]
    assert "loss is not finite at step 7" in str(end.outcomes[0].error)
    assert workshop.trainings(TEACHER) == 1


@pytest.mark.parametrize("behaviour", ["kill", "interrupt"])
def test_a_run_that_nobody_works_on_any_more_is_taken(workshop: Any, elsewhere: Any, behaviour: str) -> None:
    end = workshop.batch(*ALL, pause=elsewhere(behaviour))
    assert all(outcome.good for outcome in end.outcomes)
    assert workshop.trainings(TEACHER) == 2


def test_a_run_that_failed_before_the_batch_is_tried_again(workshop: Any) -> None:
    workshop.batch(STUDENT, **{STUDENT: "raise"})
    assert workshop.batch(STUDENT).outcomes[0].good


def test_a_child_that_loses_the_race_is_no_failure(workshop: Any, elsewhere: Any, monkeypatch: Any) -> None:
    """As if the other process had taken the lock just after the batch looked."""
    pause, looks = elsewhere("finish"), []

    def look(lock: Path) -> bool:
        looks.append(lock)
        return is_held(lock) and lock in looks[:-1]

    monkeypatch.setattr("human_edge_detection.runner.execution.supervise.is_held", look)
    end = workshop.batch(STUDENT, TEACHER, pause=pause)
    assert [outcome.state for outcome in end.outcomes] == ["finished", "finished"]
    assert workshop.trainings(TEACHER) == 1


def test_a_second_batch_is_refused_with_holder_host_and_time_and_may_join(workshop: Any) -> None:
    with batch_claim(workshop.output_dir, join=False):
        with pytest.raises(BusyError, match=r"is in use by process \d+ on \S+ since 2.*--join"):
            batch_claim(workshop.output_dir, join=False).__enter__()
        with batch_claim(workshop.output_dir, join=True):
            pass
        with pytest.raises(BusyError):
            batch_claim(workshop.output_dir, join=False).__enter__()
    with batch_claim(workshop.output_dir, join=True), pytest.raises(BusyError):
        batch_claim(workshop.output_dir, join=False).__enter__()


def test_an_error_inside_a_joined_batch_is_its_own(workshop: Any) -> None:
    with (
        batch_claim(workshop.output_dir, join=False),
        pytest.raises(BusyError, match="mine"),
        batch_claim(workshop.output_dir, join=True),
    ):
        raise BusyError("mine")


def test_restart_deletes_all_folders_or_none(workshop: Any, write_run: WriteRun) -> None:
    free, busy = (write_run(workshop.output_dir / name, get_config(name)) for name in (STUDENT, TEACHER))
    runs = plan(BatchRequest(names=(STUDENT, TEACHER), output_dir=workshop.output_dir, restart=True))
    with run_claim(busy), pytest.raises(BusyError, match=f"{TEACHER} is in use by process .* leave out --restart"):
        take_folders(runs)
    assert free.best.exists()
    assert busy.best.exists()
    take_folders(runs)
    for paths in (free, busy):
        assert {path.name for path in paths.root.iterdir()} == {"config.json", "contents.json"}


def test_restart_leaves_runs_of_other_seeds_alone(workshop: Any, write_run: WriteRun) -> None:
    own = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    other = write_run(workshop.output_dir / STUDENT / "seed_1", get_config(STUDENT))
    with run_claim(other):
        take_folders(plan(BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir, restart=True)))
        assert is_held(other.lock)
    assert not own.best.exists()
    assert other.best.exists()


def test_a_finished_run_that_goes_back_is_not_finished_any_more(workshop: Any, write_run: WriteRun) -> None:
    paths = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    request = BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir, resume=paths.root)
    (run,) = plan(request)
    assert run.finished
    early = paths.epoch_checkpoint(1)
    take_folders([replace(run, finished=False, resume=early)])
    assert not is_finished(paths)


def restart(workshop: Any) -> BatchRequest:
    return BatchRequest(names=(STUDENT,), output_dir=workshop.output_dir, restart=True)


def test_restart_leaves_what_is_the_users(workshop: Any, write_run: WriteRun) -> None:
    paths = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    (paths.root / "notes.txt").write_text("mine")
    for left in (".trash_1", ".trash_can", ".trash_2"):
        (workshop.output_dir / left).mkdir()
        (workshop.output_dir / left / "0").touch()
    elsewhere = workshop.output_dir.parent / "elsewhere"
    (workshop.output_dir / ".trash_2").rename(elsewhere)
    (workshop.output_dir / ".trash_2").symlink_to(elsewhere)
    take_folders(plan(restart(workshop)))
    assert (paths.root / "notes.txt").read_text() == "mine"
    assert not paths.best.exists()
    assert {path.name for path in workshop.output_dir.glob(".trash_*")} == {".trash_can", ".trash_2"}
    assert (elsewhere / "0").exists()


def test_restart_follows_no_link_inside_a_run(workshop: Any, write_run: WriteRun) -> None:
    paths = write_run(workshop.output_dir / STUDENT, get_config(STUDENT))
    elsewhere = workshop.output_dir.parent / "big_disk"
    paths.checkpoints.rename(elsewhere)
    paths.checkpoints.symlink_to(elsewhere)
    take_folders(plan(restart(workshop)))
    assert not paths.checkpoints.exists()
    assert [path.name for path in elsewhere.iterdir()] == ["best_model.pth"]


def test_restart_deletes_nothing_of_a_folder_that_is_no_run(workshop: Any) -> None:
    """One without config.json, whatever lies in it under the names that a run uses."""
    folder = workshop.output_dir / STUDENT
    for name in ("checkpoints/latest.pth", "logs/mine.txt", "metrics.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    runs = plan(restart(workshop))
    assert [(run.restart, run.paths.root == folder) for run in runs] == [(False, False)]
    take_folders(runs)
    assert {file.read_text() for file in folder.rglob("*") if file.is_file()} == {"mine"}
    assert len(list(folder.rglob("*.*"))) == 3


def test_restart_is_refused_through_a_link_above_a_run_to_another_run(workshop: Any, write_run: WriteRun) -> None:
    other = workshop.output_dir / "kept"
    write_run(other / "seed_1", derive(get_config(STUDENT), name=STUDENT, training={"seed": 1}))
    (workshop.output_dir / STUDENT).symlink_to(other)
    with pytest.raises(ConfigError, match=r"is a link to .*kept.*deletes nothing through links"):
        check_plan(plan(replace(restart(workshop), seeds=(1,))))
