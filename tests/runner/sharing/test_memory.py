"""What a run is thought to need: what was measured before what is estimated."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.sharing.memory import MARGIN, Need, estimate, lack_of_memory, need
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.wording import GIB

CONFIG = get_config("quickstart_student_b0")


@pytest.fixture
def runs(tmp_path: Path) -> list[PlannedRun]:
    first = PlannedRun("first", tmp_path, CONFIG, CONFIG, RunContents(encoder_weights="none"))
    other = derive(CONFIG, name="other", model={"image_size": [64, 64]})
    return [first, replace(first, name="alike"), replace(first, name="other", config=other)]


def write_peak(run: PlannedRun, write_run: Callable[..., RunPaths], peak: int, epoch: int = 1) -> None:
    paths = write_run(run.paths.root, run.config)
    status = json.loads(paths.status.read_text()) | {"peak_bytes": peak, "epoch": epoch}
    paths.status.write_text(json.dumps(status))


def test_a_measured_peak_counts_more_than_an_estimate_also_of_a_run_alike(
    runs: list[PlannedRun], write_run: Callable[..., RunPaths]
) -> None:
    first, alike, other = runs
    assert need(first, runs) == Need(estimate(CONFIG), "estimated from model, batch and image size")
    write_peak(alike, write_run, 3 * GIB, epoch=0)  # it may yet grow
    write_peak(other, write_run, 5 * GIB)
    assert need(first, runs).size == estimate(CONFIG)
    write_peak(alike, write_run, 3 * GIB)
    assert need(first, runs) == Need(int(3 * GIB * MARGIN), "measured in alike")
    write_peak(first, write_run, 2 * GIB)
    assert need(first, runs) == Need(int(2 * GIB * MARGIN), "measured in first")


@pytest.mark.parametrize(
    "changes",
    [{"training": {"batch_size": 64}}, {"model": {"image_size": [512, 512]}}, {"model": {"encoder": "resnet34"}}],
)
def test_the_estimate_grows_with_what_takes_memory(changes: dict[str, Any]) -> None:
    assert estimate(derive(CONFIG, name="larger", **changes)) > estimate(CONFIG)


def test_what_lacks_is_said_with_figures() -> None:
    wanted = Need(2 * GIB, "measured in x")
    assert lack_of_memory(wanted, GIB, None) is None
    assert lack_of_memory(wanted, GIB, 3 * GIB) is None
    said = "it needs about 2.0 GiB of memory (measured in x), and 2.5 GiB are available, 1.0 GiB of them for what runs"
    assert lack_of_memory(wanted, GIB, 5 * GIB // 2) == said
    said = "it needs about 2.0 GiB of memory (measured in x), and 1.0 GiB are available"
    assert lack_of_memory(wanted, 0, GIB) == said
