"""Which cluster runs the children of a batch, checked, and how it is reached. Its library is an extra."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.runner.backends.backend import AUTO, Backend

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
    slurm: Mapping[str, str | int] | None = None,
    cores_per_run: int | None = None,
) -> Cluster | None:
    """The cluster that is asked for; None: this machine.

    Raises:
        ConfigError: There is no such backend, what it takes is not installed, or an option belongs to another one.
    """
    names = (LOCAL, *LIBRARIES)
    if backend not in names:
        raise ConfigError(f"--backend {backend}: expected {', '.join(names)}{did_you_mean(str(backend), names)}")
    if address is not None and backend != "ray":
        raise ConfigError(f"--address {address}: only --backend ray has one; leave it out, or give --backend ray")
    if address is not None:
        _check_address(str(address))
    if slurm is not None and not isinstance(slurm, Mapping):
        raise ConfigError(f"slurm={slurm!r}: expected a dict of settings, such as {{'partition': 'gpu'}}")
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
        from human_edge_detection.runner.backends.ray import RayBackend

        return RayBackend(cluster.address or AUTO, output_dir)
    from human_edge_detection.runner.backends.slurm import SlurmBackend

    return SlurmBackend(cluster.settings)


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address != AUTO and (not host or not port.isdecimal() or not 0 < int(port) < 65536 or "//" in address):
        raise ConfigError(
            f"--address {address}: expected HOST:PORT of the cluster's head, such as head:6379, or {AUTO}"
        )


def _settings(given: Mapping[str, str | int]) -> dict[str, str | int]:
    from human_edge_detection.runner.backends.slurm import read_settings

    texts = {str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
    return read_settings(texts)
