"""Which cluster runs the children of a batch, checked, and how it is reached. Its library is an extra."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.runner.backends.backend import Backend

LOCAL: Final = "local"
LIBRARIES: Final[Mapping[str, str]] = {"ray": "ray", "slurm": "submitit"}
"""By the name of a cluster, which is that of its extra too, what is imported for it."""
_RAY_VARIABLES: Final[Mapping[str, str]] = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # below `uv run` it would send the current folder to all nodes
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Cluster:
    """Where the children of a batch run.

    Attributes:
        name: ``ray`` or ``slurm``.
        address: Of the head of a Ray cluster; None: that of this machine.
        settings: What SLURM is told of each job.
        cores: Of each run.
    """

    name: str
    address: str | None = None
    settings: Mapping[str, str | int] = field(default_factory=dict)
    cores: int = 1


def read_cluster(
    backend: str,
    *,
    address: str | None = None,
    slurm: Mapping[str, str] | None = None,
    cores_per_run: int | None = None,
) -> Cluster | None:
    """The cluster that is asked for; None: this machine.

    Raises:
        ConfigError: There is no such backend, what it takes is not installed, or an option belongs to another one.
    """
    names = (LOCAL, *LIBRARIES)
    if backend not in names:
        raise ConfigError(f"--backend {backend}: expected {', '.join(names)}{did_you_mean(backend, names)}")
    if address is not None and backend != "ray":
        raise ConfigError(f"--address {address}: only --backend ray has one; leave it out, or give --backend ray")
    if slurm and backend != "slurm":
        raise ConfigError(f"--slurm {next(iter(slurm))}: is for --backend slurm; leave it out, or give --backend slurm")
    if cores_per_run is not None and backend == LOCAL:
        raise ConfigError(
            f"--cores_per_run {cores_per_run}: on this machine the runs of --jobs share all cores; leave it out, or "
            "give --backend ray or slurm"
        )
    if cores_per_run is not None and cores_per_run < 1:
        raise ConfigError(f"--cores_per_run {cores_per_run}: expected 1 or more")
    if backend == LOCAL:
        return None
    if importlib.util.find_spec(LIBRARIES[backend]) is None:
        library = LIBRARIES[backend]
        raise ConfigError(
            f"--backend {backend} needs {library}, which is not installed: uv sync --inexact --extra {backend}"
        )
    return Cluster(backend, address, _settings(slurm or {}) if backend == "slurm" else {}, cores_per_run or 1)


def open_cluster(cluster: Cluster, output_dir: Path) -> Backend[Any]:
    """What runs children on ``cluster``, whose nodes see ``output_dir``.

    Raises:
        BackendError: It cannot be reached, or its nodes are not alike.
    """
    if cluster.name == "ray":
        for name, value in _RAY_VARIABLES.items():
            os.environ.setdefault(name, value)  # it reads them when it is imported
        from human_edge_detection.runner.backends.ray import AUTO, RayBackend

        return RayBackend(cluster.address or AUTO, output_dir)
    from human_edge_detection.runner.backends.slurm import SlurmBackend

    return SlurmBackend(cluster.settings)


def _settings(given: Mapping[str, str]) -> dict[str, str | int]:
    from human_edge_detection.runner.backends.slurm import read_settings

    return read_settings(given)
