"""What each run of a batch has on a cluster, which finds a node for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from human_edge_detection.errors import ConfigError
from human_edge_detection.limits import CORES
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.backends.cluster import Cluster
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.execution.retry import train_command
from human_edge_detection.runner.sharing.memory import need
from human_edge_detection.runner.sharing.sharing import THREADS

_GPU_SETTINGS: Final = frozenset(("gres", "gpus_per_node", "gpus_per_task"))
"""Of SLURM."""


class OnCluster:
    """So many cores each, a GPU for those that may use one, and memory as far as it is known; the cluster queues them.

    Args:
        plan: All runs of the batch.
        cluster: Where they run.
        processes: So many train each of them, on one node.
        gpus_per_run: So many GPUs each was asked to have; 0: nobody asked.

    Raises:
        ConfigError: A run has fewer cores than processes, or no GPU where some were asked for.
    """

    def __init__(self, plan: Sequence[PlannedRun], cluster: Cluster, processes: int = 1, gpus_per_run: int = 0) -> None:
        self._plan = plan
        self._cluster = cluster
        self._processes = processes
        if gpus_per_run:
            self._check_gpus(gpus_per_run)
        if processes > cluster.cores:
            raise ConfigError(
                f"{processes} processes train each run, and --cores_per_run is {cluster.cores}: give "
                f"--cores_per_run {processes} or more"
            )

    def _check_gpus(self, count: int) -> None:
        """The only GPUs that SLURM gives are those of ``--slurm``."""
        if any(run.config.training.device == "cpu" for run in self._plan):
            raise ConfigError(f"--gpus_per_run {count} and --device cpu contradict each other; give one")
        if self._cluster.name == "slurm" and not _GPU_SETTINGS & self._cluster.settings.keys():
            raise ConfigError(
                f"--gpus_per_run {count}: SLURM gives the GPUs that --slurm asks for; add --slurm gres=gpu:{count}"
            )

    def describe(self) -> list[str]:
        """What each run has, in words."""
        cores = f"{self._cluster.cores} core{'' if self._cluster.cores == 1 else 's'}"
        asked = ", ".join(f"{name}={value}" for name, value in self._cluster.settings.items())
        more = f", {asked}" if asked else ", and a GPU where the cluster has some and the experiment may use one"
        lines = [f"--backend {self._cluster.name}: each run has {cores}{more}"]
        if self._processes > 1:
            lines.append(f"{self._processes} processes train each run together, on one node")
        return lines

    def scripts(self) -> list[str]:
        """What SLURM would be given, the script of each run; for another cluster nothing."""
        if self._cluster.name != "slurm":
            return []
        from human_edge_detection.runner.backends.slurm import script  # submitit is an extra

        runs = [run for run in self._plan if not run.finished]
        works = [self.work(run, 0, train_command(run, processes=self._processes)) for run in runs]
        return [line for work in works for line in script(work, self._cluster.settings).splitlines()]

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` with what it needs."""
        threads = str(self._cluster.cores // self._processes)
        return Work(
            run.name,
            run.paths.root,
            tuple(command),
            cores=self._cluster.cores,
            gpus=0 if run.config.training.device == "cpu" else self._processes,
            memory=need(run, self._plan).size * self._processes,
            environment={CORES: str(self._cluster.cores), THREADS: threads},
        )

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """Nothing: what has no room waits in the cluster's queue."""
        return None
