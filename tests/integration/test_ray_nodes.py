"""A batch on two Ray nodes of this machine; one is lost amid a run, which ends elsewhere in the same bits."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus
from human_edge_detection.selfcheck.small_run import as_config_file

pytestmark = pytest.mark.slow

EPOCHS = 8
SECONDS = 600.0
HED = (sys.executable, "-m", "human_edge_detection")


@pytest.fixture
def batch_file(tiny_config: ExperimentConfig, tmp_path: Path) -> Path:
    """The tiny experiment with a real network, long enough to be interrupted, saved after every update."""
    training = {"epochs": EPOCHS, "checkpoint_minutes": 1e-6}
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(as_config_file(derive(tiny_config, name="tiny_on_nodes", training=training))))
    return file


@pytest.fixture
def started() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts commands; what still runs in the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(*command: str) -> "subprocess.Popen[str]":
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "HED_CORES": "1"}
        pipe = subprocess.PIPE
        children.append(subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=variables))
        return children[-1]

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def running(paths: RunPaths, step: int) -> RunStatus:
    """The status of a run once it has made ``step`` updates."""
    deadline = time.monotonic() + SECONDS
    while (status := last_status(paths)) is None or status.step < step:
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    assert status.state == "running"
    return status


def raylet_of(pid: int) -> int:
    """The process of the Ray node that a child works on."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return int(dict(one.partition(b"=")[::2] for one in variables if one)[b"RAY_RAYLET_PID"])


def test_a_run_whose_node_is_lost_ends_elsewhere_in_the_same_bits(
    batch_file: Path, started: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    from ray_clusters import small_cluster

    straight, lost = RunPaths(tmp_path / "straight" / "tiny_on_nodes"), RunPaths(tmp_path / "lost" / "tiny_on_nodes")
    reference = started(*HED, "train", "--config", str(batch_file), "--output_dir", str(straight.root.parent))
    with small_cluster(1, 1) as cluster:
        options = ("--backend", "ray", "--address", cluster.address, "--output_dir", str(lost.root.parent))
        batch = started(*HED, "run", "--configs", str(batch_file), *options)
        status = running(lost, step=5)
        cluster.remove(next(node for node in cluster.nodes if cluster.raylet(node) == raylet_of(status.pid)))
        said, _ = batch.communicate(timeout=SECONDS)
    assert batch.returncode == 0, said
    assert "its machine was lost or taken back" in said
    assert "(2 attempts)" not in said
    again = last_status(lost)
    assert again is not None
    assert again.pid != status.pid
    reference.communicate(timeout=SECONDS)
    assert reference.returncode == 0
    for name in ("latest", "best"):
        one, two = (read_checkpoint(getattr(paths, name))[0].model for paths in (straight, lost))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    assert lost.metrics.read_bytes() == straight.metrics.read_bytes()
