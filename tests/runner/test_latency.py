"""When the exports of a batch are measured, and that nothing which happens then fails it."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from constant_models import OURS, constant_model
from made_up_runs import WEIGHTS, sha256_of, write_weights

from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import write_json
from human_edge_detection.runner import latency as module
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.execution.launch import launch
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.latency import measure_latency, timed_together
from human_edge_detection.runs.artifacts import latency_of
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import LatencyReport, ParityReport, read_section

OUTPUTS = {"binary_masks": np.zeros((1, 1, 4, 6), np.float32)}
Launched = list[list[str]]


def write_exported(root: Path) -> RunPaths:
    """A run's best checkpoint, its export and parity.json."""
    paths = RunPaths(root)
    write_weights(paths.best, WEIGHTS)
    constant_model(paths.onnx, OUTPUTS, metadata=OURS | {"of": root.name})
    of_file = {"size_bytes": paths.onnx.stat().st_size, "onnx_sha256": file_sha256(paths.onnx)}
    of_model = {"onnx": "", "checkpoint_sha256": sha256_of(WEIGHTS), "opset": 18, "mask_iou": 1.0}
    write_json(paths.parity, {**of_file, **of_model, "max_difference": 0.0, "passed": True, "cases": []})
    return paths


def latency(paths: RunPaths) -> LatencyReport | None:
    return latency_of(paths, read_section(ParityReport, paths.parity))


def change(file: Path, **fields: Any) -> None:
    report = read_section(LatencyReport if file.name == "latency.json" else ParityReport, file)
    assert report is not None
    write_json(file, report.model_dump(mode="json") | fields)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunPaths]:
    return [write_exported(tmp_path / "experiments" / name) for name in ("teacher", "student")]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launched:
    """Folders of each measurement; instead of a child, each is given made-up figures."""
    folders: Launched = []

    def measure(command: Sequence[str], **_: object) -> Ended:
        folders.append(list(command[4:]))
        for folder in folders[-1]:
            paths = RunPaths(Path(folder))
            times = {"median_ms": 1.0, "p95_ms": 1.0, "cpu_ms": 1.0, "threads": 1, "rois": None, "rounds": 3}
            of_file = {"image_size": [4, 6], "onnx_sha256": file_sha256(paths.onnx), "processor": "p", "measured": "t"}
            write_json(paths.latency, {**times, **of_file, "together_with": str(len(folders))})
        return Ended(1, 0)

    monkeypatch.setattr(module, "launch", measure)
    return folders


def test_a_child_measures_all_and_the_same_again_measures_nothing(
    runs: list[RunPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure_latency(runs) is None
    teacher, student = map(latency, runs)
    assert teacher is not None and student is not None
    assert teacher.together_with == student.together_with
    monkeypatch.setattr(module, "launch", None)
    assert measure_latency(runs) is None


def exported_anew(paths: RunPaths) -> None:
    constant_model(paths.onnx, OUTPUTS, metadata=OURS | {"of": "others"})
    change(paths.parity, onnx_sha256=file_sha256(paths.onnx), size_bytes=paths.onnx.stat().st_size)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda paths: paths.latency.unlink(),
        lambda paths: paths.latency.write_text("{"),
        exported_anew,
        lambda paths: change(paths.latency, together_with="another"),
    ],
    ids=["missing", "damaged", "of another file", "of another measurement"],
)
def test_one_without_figures_has_all_measured_together(
    runs: list[RunPaths], launched: Launched, spoil: Callable[[RunPaths], object]
) -> None:
    measure_latency(runs)
    measure_latency(runs)
    assert len(launched) == 1
    spoil(runs[1])
    measure_latency(runs)
    assert launched == [[str(paths.root) for paths in runs]] * 2


def test_a_teacher_of_an_earlier_batch_is_measured_with_its_student(tmp_path: Path) -> None:
    config, contents = get_config("quickstart_distilled_b0_from_b3"), RunContents(encoder_weights="none")
    teacher = RunPaths(tmp_path.resolve() / "teacher")
    fields: dict[str, Any] = {"preset": config, "config": config, "contents": contents, "output_dir": tmp_path}
    student = PlannedRun(name="student", checkpoints={TEACHER_CHECKPOINT: teacher.best}, **fields)
    planned = PlannedRun(name="teacher", **fields)
    assert [paths.root.name for paths in timed_together([student])] == ["student", "teacher"]
    assert [paths.root.name for paths in timed_together([planned, student])] == ["teacher", "student"]


def test_what_was_not_exported_is_not_measured(runs: list[RunPaths], launched: Launched) -> None:
    runs[0].onnx.write_bytes(b"cut off")
    measure_latency([*runs, RunPaths(runs[0].root.parent / "none")])
    assert launched == [[str(runs[1].root)]]
    change(runs[1].parity, onnx_sha256=None)  # of an older version: nothing could be told to be of it
    measure_latency(runs)
    measure_latency([])
    assert len(launched) == 1


@pytest.mark.parametrize(("fails", "warning"), [("exits", "ended with exit code 3"), ("hangs", "exit code -15")])
def test_a_child_that_fails_is_one_warning(
    runs: list[RunPaths], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str, warning: str
) -> None:
    script = "sys.exit(3)" if fails == "exits" else "time.sleep(60)"
    monkeypatch.setattr(module, "_HANG_SECONDS", 0.5)
    child = [sys.executable, "-c", f"import sys, time; {script}"]
    monkeypatch.setattr(module, "launch", lambda command, is_hung: launch(child, is_hung=is_hung))
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        assert measure_latency(runs) is None
    [message] = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    assert warning in message


def test_a_signal_ends_the_child_and_is_handed_back(runs: list[RunPaths], monkeypatch: pytest.MonkeyPatch) -> None:
    child = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(module, "launch", lambda command, is_hung: launch(child, is_hung=is_hung))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert isinstance(measure_latency(runs), KeyboardInterrupt)
    assert latency(runs[0]) is None


def test_a_signal_before_the_child_is_handed_back(runs: list[RunPaths], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(paths: RunPaths) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "is_exported", interrupted)
    assert isinstance(measure_latency(runs), KeyboardInterrupt)
