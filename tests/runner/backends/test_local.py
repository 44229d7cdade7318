"""Children as processes: what they are given, what they say, how they end."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.errors import BackendError
from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.backends.local import LocalBackend, LocalJob


def work(script: str, name: str = "run", **environment: str) -> Work:
    return Work(name, Path(), (sys.executable, "-c", script), environment=environment)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(backend: LocalBackend, job: LocalJob) -> Ended:
    until(lambda: backend.poll(job))
    return backend.result(job)


def test_how_a_child_ends_is_its_process_id_and_exit_code() -> None:
    backend = LocalBackend()
    job = backend.submit(work("import os, sys; sys.exit(int(os.environ['CODE']))", CODE="7"))
    assert not backend.is_queued(job)
    assert job.label == f"process {job.process.pid}"
    assert ended(backend, job) == Ended(job.process.pid, 7)
    assert "CODE" not in os.environ


@pytest.mark.parametrize(("at_once", "code"), [(False, 75), (True, -signal.SIGKILL)])
def test_it_is_asked_to_end_or_killed(tmp_path: Path, at_once: bool, code: int) -> None:
    script = "import pathlib, signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); "
    backend = LocalBackend()
    job = backend.submit(work(f"{script} pathlib.Path({str(tmp_path / 'ready')!r}).touch(); time.sleep(60)"))
    until((tmp_path / "ready").exists)
    assert not backend.poll(job)
    backend.cancel(job, at_once=at_once)
    assert ended(backend, job).returncode == code
    backend.cancel(job)  # it has ended: nothing happens


def test_what_is_left_is_asked_to_end_when_it_is_closed() -> None:
    backend = LocalBackend()
    job = backend.submit(work("import time; time.sleep(60)"))
    backend.close()
    assert job.process.wait(30) == -signal.SIGTERM


def test_what_cannot_be_started_is_one_line() -> None:
    with pytest.raises(BackendError, match=r"^run: its process cannot be started: .*No such file"):
        LocalBackend().submit(Work("run", Path(), ("/no/such/program",)))


def test_lines_of_several_children_stay_whole_and_say_whose_they_are(tmp_path: Path) -> None:
    script = "import os, sys\nfor n in range(50): print(os.environ['WHO'], n, flush=True)\nsys.stderr.write('last')"
    with (tmp_path / "log").open("wb") as log:
        backend = LocalBackend(output=log.fileno(), named=True)
        jobs = [backend.submit(work(script, who, WHO=who)) for who in ("one", "two")]
        assert [ended(backend, job).returncode for job in jobs] == [0, 0]
    lines = (tmp_path / "log").read_text().splitlines()
    for who in ("one", "two"):
        said = [line for line in lines if line.startswith(f"{who} | ")]
        assert said == [*(f"{who} | {who} {number}" for number in range(50)), f"{who} | last"]
    assert len(lines) == 102


def test_children_with_names_say_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with (tmp_path / "log").open("wb") as log:
        backend = LocalBackend(output=log.fileno(), named=True)
        job = backend.submit(work("import os; print(os.environ['NO_COLOR'])"))
        assert ended(backend, job).returncode == 0
    assert (tmp_path / "log").read_text() == "run | 1\n"
