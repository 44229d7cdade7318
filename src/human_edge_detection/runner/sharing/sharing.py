"""``--jobs``: what each of the runs that are trained at once on this machine has of its cores, GPUs and memory."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from human_edge_detection.errors import ConfigError
from human_edge_detection.limits import CORES, available_memory, usable_cores
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.sharing.gpus import VISIBLE, visible_gpus
from human_edge_detection.runner.sharing.memory import lack_of_memory, need
from human_edge_detection.runs.records import RunStatus

logger = logging.getLogger(__name__)

THREADS = "OMP_NUM_THREADS"
_THREADS: Final = re.compile(r"[1-9][0-9]*(,[0-9]+)*", re.ASCII)
"""What OpenMP takes; it leaves out anything else, and would have a thread for each core."""


class Shared:
    """Equal shares, whatever runs at the moment: a run that goes on has the threads that it had, and so the same bits.

    Args:
        plan: All runs of the batch.
        options: How many at once, and how many processes train each.
        environment: Of this process: the threads and GPUs that the user chose.

    Raises:
        ConfigError: There are fewer cores, or GPUs where runs use them, than runs at once.
    """

    def __init__(
        self, plan: Sequence[PlannedRun], options: Options, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._plan = plan
        self._jobs = jobs = options.at_once
        self._processes = options.processes
        cores = int(usable_cores())
        self._gpus = visible_gpus(environment) if any(_may_use_gpu(run) for run in plan) else ()
        given = environment.get(THREADS, "")
        self._chosen = given if _THREADS.fullmatch(given) else None
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
        self._check_gpus(options)
        if self._processes > max(1, cores // jobs) and not self._gpus:
            raise ConfigError(
                f"--procs_per_run {self._processes}{_with_jobs(jobs)}: there are {cores} cores, and each process "
                "computes with one at least; give fewer"
            )
        self._cores = max(1, cores // jobs)
        self._all_cores = cores

    def _check_gpus(self, options: Options) -> None:
        """Each process of each run has a GPU of its own, where there are any."""
        count, jobs = len(self._gpus), options.at_once
        there = "there is 1 GPU" if count == 1 else f"there are {count} GPUs"
        if options.gpus_per_run and not count:
            without = f"--procs_per_run {options.gpus_per_run} trains in so many processes on the cores"
            raise ConfigError(
                f"--gpus_per_run {options.gpus_per_run}: no GPU is seen here, or --device cpu is given; "
                f"{without if options.gpus_per_run > 1 else 'leave it out to train on the cores'}"
            )
        if count and jobs * self._processes > count:
            if self._processes == 1:
                raise ConfigError(
                    f"--jobs {jobs}: {there}, and each takes one run; give --jobs {count}, or --device cpu"
                )
            flag = "gpus_per_run" if options.gpus_per_run else "procs_per_run"
            raise ConfigError(
                f"--{flag} {self._processes}{_with_jobs(jobs)}: {there}, and each process takes one; give fewer, or "
                "--procs_per_run with --device cpu"
            )

    def describe(self) -> list[str]:
        """What each run has, in words."""
        threads = f"{self._cores} of {self._all_cores} cores each"
        if self._chosen is not None:
            threads = f"{THREADS} is {self._chosen}, so that many threads each"
        mine = "one" if self._processes == 1 else str(self._processes)
        gpus = f", {mine} of {len(self._gpus)} GPUs each" if self._gpus else ""
        lines = [f"--jobs {self._jobs}: {self._jobs} runs at once, {threads}{gpus}"] if self._jobs > 1 else []
        if self._processes > 1:
            threads = self._chosen or str(max(1, self._cores // self._processes))
            each = "a GPU each" if self._gpus else f"threads of each: {threads}"
            lines.append(f"{self._processes} processes train each run together, {each}")
        return [*lines, *self._remarks()]

    def _remarks(self) -> list[str]:
        remarks = []
        runs = sum(not run.finished for run in self._plan)
        if runs < self._jobs and self._jobs > 1:
            remarks.append(f"--jobs {self._jobs}: runs that are to be trained: {runs}; with fewer jobs each has more")
        chosen = self._chosen or ""
        if chosen.isdecimal() and int(chosen) * self._jobs * self._processes > self._all_cores:
            remarks.append(f"{THREADS}={chosen}: more threads than cores, which slow each other; unset it")
        return remarks

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` with the threads, and the GPU, of ``place``."""
        self._before[run.name] = last_status(run.paths)
        environment = {CORES: str(self._cores)}
        if self._chosen is None:
            environment[THREADS] = str(max(1, self._cores // self._processes))
        if self._gpus:
            mine = self._gpus[place * self._processes : (place + 1) * self._processes]
            environment[VISIBLE] = ",".join(mine)
        return Work(
            run.name,
            run.paths.root,
            tuple(command),
            cores=self._cores,
            gpus=self._processes if self._gpus else 0,
            memory=need(run, self._plan).size * self._processes,
            environment=environment,
        )

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """Why ``run`` has to wait for memory; None when it fits."""
        wanted = need(run, self._plan)
        kept = sum(max(0, need(other, self._plan).size - self._taken(other)) for other in beside) * self._processes
        wanted = wanted._replace(size=wanted.size * self._processes)
        return lack_of_memory(wanted, kept, available_memory())

    def _taken(self, run: PlannedRun) -> int:
        """Bytes that the child of ``run`` holds, as far as it has said so."""
        status = last_status(run.paths)
        return 0 if status is None or status == self._before.get(run.name) else status.peak_bytes or 0


def _with_jobs(jobs: int) -> str:
    return f" with --jobs {jobs}" if jobs > 1 else ""


def _may_use_gpu(run: PlannedRun) -> bool:
    return run.config.training.device != "cpu"
