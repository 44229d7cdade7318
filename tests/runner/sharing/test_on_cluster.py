"""What each run of a batch has on a cluster."""

from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.runner.backends.cluster import Cluster
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.sharing.on_cluster import OnCluster

SLURM = Cluster("slurm", cores=4)


def planned(folder: Path, device: str = "auto") -> tuple[PlannedRun, ...]:
    return plan(BatchRequest(("quickstart_student_b0",), folder, overrides=collect(flags={"--device": device})))


@pytest.mark.parametrize(
    ("cluster", "device", "message"),
    [
        (SLURM, "auto", r"--gpus_per_run 2: SLURM gives the GPUs that --slurm asks for; add --slurm gres=gpu:2"),
        (Cluster("ray", cores=2), "cpu", "--gpus_per_run 2 and --device cpu contradict each other"),
        (Cluster("ray"), "auto", "2 processes train each run, and --cores_per_run is 1"),
    ],
)
def test_gpus_and_cores_that_nobody_gives_are_refused(
    tmp_path: Path, cluster: Cluster, device: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        OnCluster(planned(tmp_path, device), cluster, processes=2, gpus_per_run=2)


def test_processes_divide_the_cores_of_a_run(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    given = Cluster("slurm", settings={"gres": "gpu:2"}, cores=4)
    on_cluster = OnCluster(runs, given, processes=2, gpus_per_run=2)
    work = on_cluster.work(runs[0], 0, ["train"])
    assert (work.cores, work.gpus, work.environment["OMP_NUM_THREADS"]) == (4, 2, "2")
    assert on_cluster.describe() == [
        "--backend slurm: each run has 4 cores, gres=gpu:2",
        "2 processes train each run together, on one node",
    ]
