"""When a training counts as hung."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_runs import sha256_of, write_weights

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runner.execution.heartbeat import Heartbeat
from human_edge_detection.runs.paths import RunPaths


def beat(paths: RunPaths, beats: int, pid: int = 1) -> None:
    status = {"state": "running", "epochs": 2, "pid": pid, "host": "h", "started": "", "updated": "", "beats": beats}
    paths.root.mkdir(exist_ok=True)
    paths.status.write_text(json.dumps(status))


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_silence_counts_from_the_start_until_the_first_beat(paths: RunPaths) -> None:
    heart = Heartbeat(paths, minutes=1)
    assert not heart.is_hung(59)
    assert heart.is_hung(1)


def test_each_beat_starts_the_count_anew(paths: RunPaths) -> None:
    heart = Heartbeat(paths, minutes=1)
    for number in range(5):
        beat(paths, number)
        assert not heart.is_hung(1_000)
        assert not heart.is_hung(59)
    assert heart.is_hung(1)


def test_what_an_earlier_process_wrote_is_no_beat_but_a_new_process_is(paths: RunPaths) -> None:
    beat(paths, 7)
    heart = Heartbeat(paths, minutes=1)
    assert heart.is_hung(60)
    beat(paths, 7, pid=2)
    assert not heart.is_hung(60)


def test_a_status_that_cannot_be_read_is_no_end(paths: RunPaths) -> None:
    beat(paths, 1)
    heart = Heartbeat(paths, minutes=1)
    paths.status.write_text("{")
    heart.is_hung(30)
    assert heart.is_hung(60)


def test_0_minutes_is_never(paths: RunPaths, write_run: Callable[..., RunPaths]) -> None:
    write_run(paths.root, get_config("quickstart_student_b0"), state="running")
    assert not Heartbeat(paths, minutes=0).is_hung(1e9)


def test_an_export_gives_no_signs_and_is_waited_for_but_not_what_comes_after_it(
    paths: RunPaths, write_run: Callable[..., RunPaths]
) -> None:
    heart = Heartbeat(paths, minutes=1, exports=True)
    write_run(paths.root, get_config("quickstart_student_b0"), state="running")
    assert not heart.is_hung(60)
    assert heart.is_hung(60)
    write_run(paths.root, get_config("quickstart_student_b0"))
    write_weights(paths.best, "new")
    assert not heart.is_hung(60)
    assert not heart.is_hung(1e6)
    paths.parity.write_text("{")
    assert not heart.is_hung(1e6)
    paths.onnx.write_bytes(b"1")
    report = {"onnx": "", "checkpoint_sha256": sha256_of("new"), "opset": 18, "size_bytes": 1, "tolerance": 1e-4}
    paths.parity.write_text(json.dumps(report | {"max_difference": 0, "mask_iou": 1, "passed": True, "cases": []}))
    assert heart.is_hung(60)
