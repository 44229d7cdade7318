"""What runs have on a cluster, and what a dry run says of it."""

from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.runner.backends.cluster import Cluster
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.sharing.on_cluster import OnCluster

STUDENT = "quickstart_student_b0"


def test_a_run_has_cores_threads_and_may_have_a_gpu(tmp_path: Path) -> None:
    runs = plan(BatchRequest(names=(STUDENT,), output_dir=tmp_path / "experiments"))
    sharing = OnCluster(runs, Cluster("ray", cores=3))
    work = sharing.work(runs[0], 0, ("python", "-m", "human_edge_detection", "train"))
    assert (work.name, work.cores, work.gpus) == (STUDENT, 3, 1)
    assert work.memory is not None
    assert work.environment == {"HED_CORES": "3", "OMP_NUM_THREADS": "3"}
    assert sharing.lack(runs[0], runs) is None
    assert sharing.scripts() == []


def test_a_dry_run_prints_the_script_of_each_run_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")  # nor is SLURM needed
    flags = ["--backend", "slurm", "--slurm", "partition=gpu", "--slurm", "time=90", "--cores_per_run", "4"]
    assert main(["run", "--configs", STUDENT, "quickstart_distilled_b0_from_b3", "--dry_run", *flags]) == 0
    said = capsys.readouterr().out
    assert said.count("#!/bin/bash") == 3
    for line in ("--partition=gpu", "--time=90", "--cpus-per-task=4", f"--job-name={STUDENT}"):
        assert f"#SBATCH {line}" in said
    assert "--backend slurm: each run has 4 cores, time=90, partition=gpu" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--slurm", "partition"], "--slurm partition: expected KEY=VALUE"),
        (["--backend", "slurm", "--slurm", "time=1", "--slurm", "time=2"], "--slurm time: given as 1 and as 2"),
        (["--backend", "ray", "--address", "head"], "--address head: expected HOST:PORT of the cluster's head"),
        (["--backend", "ray", "--address", "127.0.0.1:1"], "--address 127.0.0.1:1: nothing answers there"),
        (["--backend", "slurm"], "--backend slurm: this machine has no sbatch"),
        (
            ["--backend", "slurm", "--sweep", "training.epochs=1..3", "--trials", "2"],
            "--backend slurm: the trials of a search follow from those before",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    if "ray" in flags:
        pytest.importorskip("ray", reason="needs ray: `uv sync --extra ray`")
    assert main(["run", "--configs", STUDENT, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


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
