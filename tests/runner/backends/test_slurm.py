"""Jobs of SLURM: scripts, requeueing, a person who cancels, a node that fails. Our programs stand for SLURM."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import BackendError
from human_edge_detection.runner.backends import slurm
from human_edge_detection.runner.backends.backend import Ended, Work

SAVES = """
import os, signal, sys, time
def save(number, frame):
    open("saved", "a").write("saved ")
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
if os.path.exists("saved") and "goes on" in sys.argv:
    sys.exit(0)
open("ready", "w").close()
time.sleep(100)
"""
SECONDS = 120.0


def work(*command: str) -> Work:
    return Work("a_run", Path("experiments", "a_run"), (sys.executable, *command), cores=3, gpus=1, memory=2**30)


def test_the_script_asks_for_what_a_run_needs_and_what_is_given() -> None:
    lines = slurm.script(work("-c", "pass"), {"time": 90, "partition": "gpu", "gres": "gpu:1"}).splitlines()
    assert lines[0] == "#!/bin/bash"
    for flag in ("job-name=a_run", "cpus-per-task=3", "partition=gpu", "time=90", "gres=gpu:1", "signal=USR2@90"):
        assert f"#SBATCH --{flag}" in lines
    assert not any("--mem" in line or "gpus-per-node" in line for line in lines)  # SLURM would hold the run to a guess
    assert any(line.startswith("srun ") and str(Path("experiments/a_run/cluster").absolute()) in line for line in lines)


def test_without_slurm_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendError, match=r"--backend slurm: this machine has no sbatch; .* login node"):
        slurm.SlurmBackend({})


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from fake_slurm import FakeSlurm

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "_ASK_SECONDS", 0.5)
    monkeypatch.setattr(slurm, "_POLL_SECONDS", 0.2)
    monkeypatch.setattr(slurm, "_RESULT_SECONDS", 3.0)
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(backend: slurm.SlurmBackend, *argv: str) -> slurm.SlurmJob:
    job = backend.submit(work("-c", SAVES, *argv))
    wait_for(Path("ready").exists)
    return job


def end_of(backend: slurm.SlurmBackend, job: slurm.SlurmJob) -> Ended:
    wait_for(lambda: backend.poll(job))
    return backend.result(job)


@pytest.mark.slow
def test_a_job_whose_time_is_over_saves_is_requeued_and_goes_on(fake: Any) -> None:
    backend = slurm.SlurmBackend(slurm.DEFAULTS)
    job = begun(backend, "goes on")
    fake.signal(job.submitted.job_id, signal.SIGUSR2)
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (0, False)
    assert Path("saved").read_text() == "saved "
    assert len([*fake.jobs.glob("*.sh")]) == 1, "the same job, not another one"
    backend.close()


@pytest.mark.slow
def test_a_job_that_is_told_to_end_and_ends_with_75_is_lost_unless_somebody_cancelled_it(fake: Any) -> None:
    backend = slurm.SlurmBackend(slurm.DEFAULTS)
    job = begun(backend)
    fake.signal(job.submitted.job_id, signal.SIGTERM)
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (75, True)
    for cancel in (lambda job: backend.cancel(job), lambda job: backend.ask(job.submitted, at_once=False)):
        Path("ready").unlink()
        job = begun(backend)
        cancel(job)
        ended = end_of(backend, job)
        assert (ended.returncode, ended.lost) == (75, False)


@pytest.mark.slow
def test_a_job_whose_node_fails_is_lost(fake: Any) -> None:
    backend = slurm.SlurmBackend(slurm.DEFAULTS)
    job = begun(backend)
    assert not backend.is_queued(job)
    fake.lose(job.submitted.job_id)
    ended = end_of(backend, job)
    assert (ended.returncode, ended.lost) == (-signal.SIGKILL, True)
