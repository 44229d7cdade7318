"""Which cluster is asked for: one line for what is wrong, before anything is opened."""

from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.runner.backends.cluster import Cluster, read_cluster


@pytest.mark.parametrize(
    ("backend", "options", "said"),
    [
        ("rya", {}, r"--backend rya: expected local, ray, slurm \(did you mean 'ray'\?\)"),
        ("local", {"address": "auto"}, "--address auto: only --backend ray has one"),
        ("slurm", {"address": "head:1"}, "--address head:1: only --backend ray has one"),
        ("ray", {"address": "head"}, "--address head: expected HOST:PORT"),
        ("ray", {"address": "ray://head:10001"}, "--address ray://head:10001: expected HOST:PORT"),
        ("ray", {"address": "head:99999"}, "--address head:99999: expected HOST:PORT"),
        ("ray", {"slurm": {"partition": "gpu"}}, "--slurm partition: is for --backend slurm"),
        ("local", {"cores_per_run": 2}, "--cores_per_run 2: on this machine the runs of --jobs share all cores"),
        ("ray", {"cores_per_run": 0}, "--cores_per_run 0: expected 1 or more"),
        ("slurm", {"slurm": {"partitoin": "gpu"}}, r"--slurm partitoin: no setting; .*did you mean 'partition'"),
        ("slurm", {"slurm": {"time": "8h"}}, "--slurm time=8h: expected minutes"),
        ("slurm", {"slurm": {"time": 0}}, "--slurm time=0: expected minutes"),
        ("slurm", {"slurm": {"signal_delay_s": "0"}}, "--slurm signal_delay_s=0: expected seconds"),
        ("slurm", {"slurm": {"use_srun": "no"}}, "--slurm use_srun=no: expected true or false"),
        ("slurm", {"slurm": ["partition=gpu"]}, "expected a dict of settings"),
        ("slurm", {"slurm": {"cpus_per_task": "4"}}, "--slurm cpus_per_task: follows from what a run needs"),
    ],
)
def test_what_is_wrong_is_one_line(backend: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        read_cluster(backend, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("backend", "library"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_library_it_says_what_to_install(
    backend: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=f"needs {library}, which is not installed: uv sync --inexact --extra {backend}"
    ):
        read_cluster(backend)


def test_a_cluster_and_none() -> None:
    assert read_cluster("local") is None
    given = {"partition": "gpu", "time": "90"}
    assert read_cluster("slurm", slurm=given, cores_per_run=4) == Cluster(
        "slurm", settings={"time": 90, "partition": "gpu"}, cores=4
    )
    plain: dict[str, str | int] = {"time": "1-12:30", "signal_delay_s": 30, "use_srun": False, "exclusive": True}
    read = read_cluster("slurm", slurm=plain)
    assert read is not None and read.settings == plain
    assert read_cluster("slurm") == Cluster("slurm", settings={"time": 240})
