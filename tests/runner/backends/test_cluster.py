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
        ("ray", {"slurm": {"partition": "gpu"}}, "--slurm partition: is for --backend slurm"),
        ("local", {"cores_per_run": 2}, "--cores_per_run 2: on this machine the runs of --jobs share all cores"),
        ("ray", {"cores_per_run": 0}, "--cores_per_run 0: expected 1 or more"),
        ("slurm", {"slurm": {"partitoin": "gpu"}}, r"--slurm partitoin: no setting; .*did you mean 'partition'"),
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
    assert read_cluster("slurm") == Cluster("slurm", settings={"time": 240})
