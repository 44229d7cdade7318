"""The backend for SLURM with submitit's executor for this machine in the place of SLURM."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from submitit import AutoExecutor

from human_edge_detection.runner.backends.slurm import SlurmBackend, SlurmJob


class LocalSlurm(SlurmBackend):
    """Jobs are processes here; ``scancel`` is a signal to the one that watches over a job's."""

    def executor(self, folder: Path) -> AutoExecutor:
        return AutoExecutor(folder, cluster="local")

    def ask(self, submitted: Any, *, at_once: bool) -> None:
        controller = int(submitted.job_id)
        with suppress(ProcessLookupError, FileNotFoundError):
            if at_once:
                os.kill(_youngest(controller), signal.SIGKILL)
            else:
                os.kill(controller, signal.SIGTERM)

    def is_queued(self, job: SlurmJob) -> bool:
        return False


def local_slurm(monkeypatch: pytest.MonkeyPatch) -> LocalSlurm:
    monkeypatch.setattr("human_edge_detection.runner.backends.slurm.shutil.which", lambda name: name)
    return LocalSlurm({"time": 60})


def _youngest(process: int) -> int:
    """The child of the child ... of ``process``."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return _youngest(int(children[0])) if children else process
