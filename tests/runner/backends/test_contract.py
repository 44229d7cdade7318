"""What every backend keeps to: the same children, on this machine, on a Ray cluster, and through submitit."""

import importlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import BackendError
from human_edge_detection.runner.backends.backend import Backend, Ended, Work
from human_edge_detection.runner.backends.local import LocalBackend

SAVES = """
import os, signal, sys, time
def save(number, frame):
    open("saved", "w").write(str(os.getpid()))
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
open("ready", "w").write(str(os.getpid()))
time.sleep(100)
"""
DEAF = SAVES.replace("signal.SIGTERM, save", "signal.SIGTERM, signal.SIG_IGN")
TELLS = """
import json, os
names = ("TOLD", "HED_OF_THE_BATCH")
open("told", "w").write(json.dumps({"cwd": os.getcwd(), **{name: os.environ.get(name) for name in names}}))
"""
SECONDS = 120.0
"""Longest time for anything; a busy machine starts a worker of Ray in a minute."""

Open = Callable[[], Backend[Any]]


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    from ray_clusters import small_cluster

    with small_cluster(2) as cluster:
        yield cluster.address


@pytest.fixture(
    params=[
        "local",
        pytest.param("ray", marks=pytest.mark.slow),
        pytest.param("slurm", marks=pytest.mark.slow),
    ]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend[Any]]:
    """An open backend, in a current folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HED_OF_THE_BATCH", "seen")
    opened: Backend[Any]
    if request.param == "local":
        opened = LocalBackend()
    elif request.param == "ray":
        address = request.getfixturevalue("ray_address")
        opened = importlib.import_module("human_edge_detection.runner.backends.ray").RayBackend(address, tmp_path)
    else:
        pytest.importorskip("submitit", reason="needs submitit: `uv sync --extra slurm`")
        from local_slurm import local_slurm

        opened = local_slurm(monkeypatch)
    yield opened
    opened.close()


def work(script: str, **needs: Any) -> Work:
    return Work("a_run", Path("experiments", "a_run"), (sys.executable, "-c", script), cores=1, **needs)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end_of(backend: Backend[Any], job: Any) -> Ended:
    wait_for(lambda: backend.poll(job))
    return backend.result(job)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_that_of_the_child(backend: Backend[Any], code: int) -> None:
    job = backend.submit(work(f"import sys; sys.exit({code})"))
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost, ended.hung, ended.interrupt) == (code, False, False, None)


def test_a_child_has_the_folder_and_the_variables_of_the_batch_and_its_own(
    backend: Backend[Any], tmp_path: Path
) -> None:
    assert end_of(backend, backend.submit(work(TELLS, environment={"TOLD": "a word"}))).returncode == 0
    told = Path("told").read_text()
    assert eval(told.replace("null", "None")) == {"cwd": str(tmp_path), "TOLD": "a word", "HED_OF_THE_BATCH": "seen"}


def test_one_that_is_asked_to_end_saves_first(backend: Backend[Any]) -> None:
    job = backend.submit(work(SAVES))
    wait_for(Path("ready").exists)
    wait_for(lambda: not backend.poll(job) and not backend.is_queued(job))
    assert job.label
    backend.cancel(job)
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (75, False)
    assert ended.pid == int(Path("saved").read_text())


def test_one_that_does_not_heed_is_killed(backend: Backend[Any]) -> None:
    job = backend.submit(work(DEAF))
    wait_for(Path("ready").exists)
    wait_for(lambda: not backend.poll(job) and not backend.is_queued(job))
    backend.cancel(job)
    time.sleep(0.5)
    assert not backend.poll(job)
    backend.cancel(job, at_once=True)
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (-signal.SIGKILL, False)


def test_one_that_is_told_by_another_to_end_has_lost_its_machine(backend: Backend[Any]) -> None:
    """On a cluster that is how a machine is taken back; on this one it is a person who wants the batch to end."""
    job = backend.submit(work("import sys; sys.exit(75)"))
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (75, not isinstance(backend, LocalBackend))


def test_what_cannot_be_started_is_an_error_and_no_traceback(backend: Backend[Any], tmp_path: Path) -> None:
    unknown = Work("a_run", Path("experiments", "a_run"), (str(tmp_path / "no_such_program"),), cores=1)
    with pytest.raises(BackendError, match=r"a_run: its process cannot be started.*no_such_program"):
        end_of(backend, backend.submit(unknown))


def test_two_at_once(backend: Backend[Any]) -> None:
    jobs = [backend.submit(work(f"open('{name}', 'w').close()")) for name in ("one", "two")]
    assert [end_of(backend, job).returncode for job in jobs] == [0, 0]
    assert Path("one").exists()
    assert Path("two").exists()
