"""What only a Ray cluster has: nodes that are unlike, lost, too small or not there."""

import importlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from human_edge_detection.errors import BackendError
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.backends.node import Software

if TYPE_CHECKING:
    from ray_clusters import SmallCluster

pytestmark = pytest.mark.slow

SECONDS = 120.0
READY = """
import os, time
open("ready.tmp", "w").write(f"{os.getpid()} {os.environ['RAY_RAYLET_PID']}")
os.rename("ready.tmp", "ready")
time.sleep(100)
"""


@pytest.fixture(scope="module")
def ray_backend() -> Any:
    pytest.importorskip("ray", reason="needs ray: `uv sync --extra ray`")
    return importlib.import_module("human_edge_detection.runner.backends.ray")


@pytest.fixture(scope="module")
def cluster(ray_backend: Any) -> Iterator["SmallCluster"]:
    from ray_clusters import small_cluster

    with small_cluster(1) as cluster:
        yield cluster


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def work(script: str, **needs: Any) -> Work:
    return Work("a_run", Path("experiments", "a_run"), (sys.executable, "-c", script), **{"cores": 1, **needs})


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nodes_with_another_version_are_refused(
    ray_backend: Any, cluster: "SmallCluster", here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_backend, "software", lambda: Software("99.0", None, None))
    with pytest.raises(
        BackendError, match=r"node \S+ has .*torch.*; this machine has 99\.0.*; install the same on all"
    ):
        ray_backend.RayBackend(cluster.address, here / "experiments")
    assert list(here.iterdir()) == []


def test_a_node_that_does_not_see_the_folder_or_its_locks_is_refused(
    ray_backend: Any, cluster: "SmallCluster", here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ray_backend._ask_nodes
    for field, said in (("sees_folder", "does not see the output folder"), ("sees_lock", "does not see locks")):
        monkeypatch.setattr(
            ray_backend, "_ask_nodes", lambda lock, field=field: [one._replace(**{field: False}) for one in ask(lock)]
        )
        with pytest.raises(BackendError, match=said):
            ray_backend.RayBackend(cluster.address, here / "experiments")


def test_what_no_node_has_is_refused_and_signals_stay_with_this_process(
    ray_backend: Any, cluster: "SmallCluster", here: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    backend = ray_backend.RayBackend(cluster.address, here)
    assert signal.getsignal(signal.SIGTERM) is before
    for needs, said in (({"cores": 500}, "500 processor cores"), ({"memory": 2**60}, "GiB of memory")):
        with pytest.raises(BackendError, match=rf"a_run needs .*{said}.*, which no node of the cluster has"):
            backend.submit(work("", **needs))
    backend.submit(work("", gpus=1))  # there are none in the cluster: it does without
    backend.close()


def test_a_lost_node_loses_its_child_and_the_next_one_goes_elsewhere(
    ray_backend: Any, cluster: "SmallCluster", here: Path
) -> None:
    backend = ray_backend.RayBackend(cluster.address, here)
    job = backend.submit(work(READY))
    wait_for(lambda: not backend.poll(job) and Path("ready").exists())
    pid, raylet = map(int, Path("ready").read_text().split())
    second = cluster.add_node(1)
    cluster.remove(next(node for node in cluster.nodes if cluster.raylet(node) == raylet))
    wait_for(lambda: bool(backend.poll(job)))
    wait_for(lambda: not Path(f"/proc/{pid}").exists())  # although its machine is there, as it is this one
    ended = backend.result(job)
    assert (ended.returncode, ended.lost) == (-signal.SIGKILL, True)
    again = backend.submit(
        work(f"import os, sys; sys.exit(os.environ['RAY_RAYLET_PID'] != '{cluster.raylet(second)}')")
    )
    wait_for(lambda: bool(backend.poll(again)))
    assert backend.result(again).returncode == 0
    backend.close()
