"""Signals that reach a batch while a child works: they are handed on, and the child saves its state."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from human_edge_detection.experiments.registry import expand
from human_edge_detection.signals import INTERRUPTED, REQUEUE

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]

BATCH = dedent(
    """
    import json, sys
    from human_edge_detection.cli.main import main
    from human_edge_detection.runner.backends import standby
    from human_edge_detection.runner.execution import launch, retry, sample_data

    launch.ECHO_SECONDS, standby.LEAST_MEMORY = 0.3, float("inf")
    sample_data.make_sample_data = lambda plan, output_dir: None
    retry.train_command = lambda run, export_onnx: json.loads(sys.argv[1])
    sys.exit(main(["run", "--configs", *sys.argv[3:], "--output_dir", sys.argv[2]]))
    """
)


class Batch:
    """``hed run`` as a process, with ``behaviour`` in place of its first training."""

    def __init__(self, workshop: Any, behaviour: str) -> None:
        self.workshop = workshop
        command = json.dumps(workshop.command(TEACHER, behaviour))
        arguments = [command, str(workshop.output_dir), TEACHER, STUDENT]
        # A group of its own: a Ctrl-C of this test reaches batch and child, and nobody else.
        self.process = subprocess.Popen([sys.executable, "-c", BATCH, *arguments], start_new_session=True)
        ready = "listening" if behaviour == "wait for signal" else "ready"
        self._ready = workshop.output_dir / TEACHER / ready

    def wait_until_it_works(self) -> None:
        until = time.monotonic() + 30
        while not self._ready.exists():
            assert time.monotonic() < until
            assert self.process.poll() is None
            time.sleep(0.02)

    def end(self) -> int:
        return self.process.wait(30)

    def reported(self) -> dict[str, str]:
        runs = json.loads((self.workshop.output_dir.parent / "experiment_runs.json").read_text())
        return {run["run"]: run["status"] for run in runs}


Begin = Callable[[str], Batch]


@pytest.fixture
def begin(workshop: Any) -> Iterator[Begin]:
    batches: list[Batch] = []

    def begin_one(behaviour: str) -> Batch:
        batches.append(Batch(workshop, behaviour))
        batches[-1].wait_until_it_works()
        return batches[-1]

    yield begin_one
    for batch in batches:
        with suppress(ProcessLookupError):
            os.killpg(batch.process.pid, signal.SIGKILL)
        batch.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_schedulers_signal_is_handed_on_and_ends_with_75(workshop: Any, begin: Begin, number: int) -> None:
    batch = begin("wait for signal")
    batch.process.send_signal(number)
    assert batch.end() == REQUEUE
    assert workshop.status(TEACHER)["state"] == "interrupted"
    assert batch.reported() == {TEACHER: "interrupted", STUDENT: "skipped"}


def test_a_scheduler_may_signal_twice(workshop: Any, begin: Begin) -> None:
    batch = begin("wait for signal")
    os.killpg(batch.process.pid, signal.SIGTERM)
    batch.process.send_signal(signal.SIGTERM)
    assert batch.end() == REQUEUE
    assert workshop.status(TEACHER)["state"] == "interrupted"


def test_ctrl_c_ends_with_130_also_when_the_child_did_not_get_it(workshop: Any, begin: Begin) -> None:
    batch = begin("wait for signal")
    batch.process.send_signal(signal.SIGINT)
    assert batch.end() == INTERRUPTED
    assert workshop.status(TEACHER)["state"] == "interrupted"
    assert batch.reported() == {TEACHER: "interrupted", STUDENT: "skipped"}


def test_the_third_ctrl_c_kills_a_child_that_does_not_listen(workshop: Any, begin: Begin) -> None:
    batch = begin("ignore signals")
    for _ in range(3):
        batch.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert batch.end() == INTERRUPTED
    assert batch.reported()[TEACHER] == "interrupted"


def test_an_orphan_goes_on_when_its_batch_is_killed_and_the_next_batch_waits_for_it(
    workshop: Any, begin: Begin
) -> None:
    batch = begin("when told finish")
    batch.process.kill()
    batch.end()

    def tell_it(seconds: float) -> None:
        (workshop.output_dir / TEACHER / "go").touch()
        time.sleep(0.05)

    end = workshop.batch(TEACHER, DISTILLED, pause=tell_it)
    assert all(outcome.good for outcome in end.outcomes)
    assert workshop.trainings(TEACHER) == 1


def test_what_a_child_says_gets_into_no_file_where_stderr_was_closed(tmp_path: Path) -> None:
    """The next file that such a process opens has the number of stderr."""
    script = dedent(
        """
        import sys
        from human_edge_detection.runner.execution.launch import launch
        with open("checkpoint", "w") as file:
            assert file.fileno() == 2
            sys.exit(launch([sys.executable, "-c", "print('said')"]).returncode)
        """
    )
    command = ["bash", "-c", f"{sys.executable} script.py 2>&-"]
    (tmp_path / "script.py").write_text(script)
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "checkpoint").read_text() == ""
