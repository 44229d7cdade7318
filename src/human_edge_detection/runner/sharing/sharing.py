"""``--jobs``: what each of the runs that are trained at once on this machine has of its cores, GPUs and memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from human_edge_detection.errors import ConfigError
from human_edge_detection.limits import CORES, available_memory, usable_cores
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.sharing.gpus import VISIBLE, visible_gpus
from human_edge_detection.runner.sharing.memory import lack_of_memory, need
from human_edge_detection.runs.records import RunStatus

logger = logging.getLogger(__name__)

THREADS = "OMP_NUM_THREADS"


class Shared:
    """Equal shares, whatever runs at the moment: a run that goes on has the threads that it had, and so the same bits.

    Args:
        plan: All runs of the batch.
        jobs: So many at once.
        environment: Of this process: the threads and GPUs that the user chose.

    Raises:
        ConfigError: There are fewer cores, or GPUs where runs use them, than runs at once.
    """

    def __init__(self, plan: Sequence[PlannedRun], jobs: int, environment: Mapping[str, str] = os.environ) -> None:
        self._plan = plan
        self._jobs = jobs
        cores = int(usable_cores())
        self._gpus = visible_gpus(environment) if any(_may_use_gpu(run) for run in plan) else ()
        self._chosen = environment.get(THREADS)
        self._before: dict[str, RunStatus | None] = {}
        if jobs > max(cores, 1):
            raise ConfigError(
                f"--jobs {jobs}: there are {cores} cores, and each run computes with one at least; give --jobs {cores}"
            )
        numbered = next((run.config.training.device for run in plan if ":" in run.config.training.device), None)
        if self._gpus and numbered is not None:
            raise ConfigError(
                f"--jobs {jobs} gives each run a GPU, and --device {numbered} names one; give one of both"
            )
        if self._gpus and jobs > len(self._gpus):
            count = len(self._gpus)
            there = "there is 1 GPU" if count == 1 else f"there are {count} GPUs"
            raise ConfigError(f"--jobs {jobs}: {there}, and each takes one run; give --jobs {count}, or --device cpu")
        self._cores = max(1, cores // jobs)
        self._all_cores = cores

    def describe(self) -> list[str]:
        """What each run has, in words."""
        threads = f"{self._cores} of {self._all_cores} cores each"
        if self._chosen is not None:
            threads = f"{THREADS} is {self._chosen}, so that many threads each"
        gpus = f", one of {len(self._gpus)} GPUs each" if self._gpus else ""
        lines = [f"--jobs {self._jobs}: {self._jobs} runs at once, {threads}{gpus}"]
        return [*lines, *self._remarks()]

    def _remarks(self) -> list[str]:
        remarks = []
        runs = sum(not run.finished for run in self._plan)
        if runs < self._jobs:
            remarks.append(f"--jobs {self._jobs}: runs that are to be trained: {runs}; with fewer jobs each has more")
        chosen = self._chosen or ""
        if chosen.isdecimal() and int(chosen) * self._jobs > self._all_cores:
            remarks.append(f"{THREADS}={chosen}: more threads than cores, which slow each other; unset it")
        return remarks

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` with the threads, and the GPU, of ``place``."""
        self._before[run.name] = last_status(run.paths)
        environment = {CORES: str(self._cores)}
        if self._chosen is None:
            environment[THREADS] = str(self._cores)
        if self._gpus:
            environment[VISIBLE] = self._gpus[place]
        return Work(
            run.name,
            run.paths.root,
            tuple(command),
            cores=self._cores,
            gpus=1 if self._gpus else 0,
            memory=need(run, self._plan).size,
            environment=environment,
        )

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """Why ``run`` has to wait for memory; None when it fits."""
        wanted = need(run, self._plan)
        kept = sum(max(0, need(other, self._plan).size - self._taken(other)) for other in beside)
        return lack_of_memory(wanted, kept, available_memory())

    def _taken(self, run: PlannedRun) -> int:
        """Bytes that the child of ``run`` holds, as far as it has said so."""
        status = last_status(run.paths)
        return 0 if status is None or status == self._before.get(run.name) else status.peak_bytes or 0


def _may_use_gpu(run: PlannedRun) -> bool:
    return run.config.training.device != "cpu"
