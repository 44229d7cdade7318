"""What each run of a batch has on a cluster, which finds a node for it."""

from __future__ import annotations

from collections.abc import Sequence

from human_edge_detection.limits import CORES
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.backends.cluster import Cluster
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.sharing.memory import need
from human_edge_detection.runner.sharing.sharing import THREADS


class OnCluster:
    """So many cores each, a GPU for those that may use one, and memory as far as it is known; the cluster queues them.

    Args:
        plan: All runs of the batch.
        cluster: Where they run.
    """

    def __init__(self, plan: Sequence[PlannedRun], cluster: Cluster) -> None:
        self._plan = plan
        self._cores = cluster.cores

    def work(self, run: PlannedRun, place: int, command: Sequence[str]) -> Work:
        """``command`` with what it needs."""
        cores = str(self._cores)
        return Work(
            run.name,
            run.paths.root,
            tuple(command),
            cores=self._cores,
            gpus=0 if run.config.training.device == "cpu" else 1,
            memory=need(run, self._plan).size,
            environment={CORES: cores, THREADS: cores},
        )

    def lack(self, run: PlannedRun, beside: Sequence[PlannedRun]) -> str | None:
        """Nothing: what has no room waits in the cluster's queue."""
        return None
