"""A Ray cluster of several nodes on this machine, as small as Ray makes one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

_SESSIONS = Path("/tmp/ray")
_HEAD_SECONDS = 120.0
_STORE_BYTES = 80 * 2**20
_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
_PATIENT = {"agent_register_timeout_ms": 300_000}
"""Where tests keep the processors busy the agents of a node take longer than its 30 s to start."""


class SmallCluster:
    """Starts and removes nodes; a head without processors comes first.

    A raylet gives its two agents 15 s to say which ports they have, and dies otherwise (ray-project/ray#65983), which
    is too little where tests keep the processors busy. The agents are told here which ports to take, so that files
    which say so can lie there before them.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        ray_cluster = pytest.importorskip("ray.cluster_utils", reason="needs ray: `uv sync --extra ray`")
        self._cluster = ray_cluster.Cluster()
        self._add(num_cpus=0, no_monitor=True, include_dashboard=False, _system_config=_PATIENT)

    @property
    def address(self) -> str:
        """``HOST:PORT``, for ``--address``."""
        return str(self._cluster.address)

    def add_node(self, cores: int = 1, **options: Any) -> Any:
        """A node more; :meth:`remove` takes it."""
        self.nodes.append(self._add(num_cpus=cores, **options))
        return self.nodes[-1]

    @staticmethod
    def raylet(node: Any) -> int:
        """The process that stands for a node."""
        return int(node.all_processes["raylet"][0].process.pid)

    def remove(self, node: Any) -> None:
        """Kills the node, as a machine that loses its power."""
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()

    def _add(self, **options: Any) -> Any:
        import ray

        node_id = ray.NodeID.from_random().hex()
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        head = self._cluster.head_node
        if head is None:
            threading.Thread(target=_announce_head, args=(node_id, ports), daemon=True).start()
        else:
            _announce(Path(head.get_session_dir_path()), node_id, ports)
        return self._cluster.add_node(
            object_store_memory=_STORE_BYTES,
            include_log_monitor=False,
            env_vars={"RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id},
            **ports,
            **options,
        )


def _announce_head(node_id: str, ports: dict[str, int]) -> None:
    """As soon as the folder of the new cluster is there, which is told by the first file that its head leaves in it."""
    deadline = time.monotonic() + _HEAD_SECONDS
    while time.monotonic() < deadline:
        for file in _SESSIONS.glob(f"session_*/gcs_server_port_{node_id}"):
            _announce(file.parent, node_id, ports)
            return
        time.sleep(0.05)


def _announce(folder: Path, node_id: str, ports: dict[str, int]) -> None:
    for name, port in ports.items():
        (folder / f"{name}_{node_id}").write_text(str(port))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def small_cluster(*cores: int) -> Iterator[SmallCluster]:
    """A cluster of nodes with so many ``cores`` each."""
    cluster = SmallCluster()
    try:
        for count in cores:
            cluster.add_node(count)
        yield cluster
    finally:
        cluster.close()
