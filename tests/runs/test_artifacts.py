"""A file counts as made when it is the one that was written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_runs import sha256_of, write_weights

from human_edge_detection.files.write import write_json
from human_edge_detection.runs.artifacts import checkpoint_problem, export_problem, is_exported
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import DetectorParity, ParityReport, read_section

MODEL = b"a model"
Break = Callable[[Path], object]


def become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGE: dict[str, tuple[Break, str]] = {
    "missing": (lambda file: file.unlink(), "is missing"),
    "empty": (lambda file: file.write_bytes(b""), "is damaged: 0 bytes, 7 were written"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is damaged: 6 bytes, 7 were written"),
    "garbage of the same size": (lambda file: file.write_bytes(b"garbage"), "its sha256 is not the one"),
    "a folder": (become_folder, "is missing"),
}


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """A run with a best checkpoint and its export."""
    paths = RunPaths(tmp_path / "run")
    write_weights(paths.best, "weights")
    paths.onnx.write_bytes(MODEL)
    report = ParityReport(
        onnx="checkpoints/best_model.onnx",
        checkpoint_sha256=sha256_of("weights"),
        opset=18,
        size_bytes=len(MODEL),
        onnx_sha256=hashlib.sha256(MODEL).hexdigest(),
        tolerance=1e-4,
        max_difference=0.0,
        mask_iou=1.0,
        passed=True,
        cases=[],
    )
    write_json(paths.parity, report.model_dump(mode="json"))
    return paths


@pytest.fixture
def run_with_detector(run: RunPaths) -> RunPaths:
    """The same with the second file of a model with a detector."""
    run.detector_onnx.write_bytes(MODEL)
    detector = DetectorParity(
        onnx="checkpoints/best_model.detect.onnx",
        size_bytes=len(MODEL),
        onnx_sha256=hashlib.sha256(MODEL).hexdigest(),
        max_probability_difference=0.0,
        class_changes=0,
        max_box_difference=0.0,
        max_score_difference=0.0,
        missing=0,
        extra=0,
        cases=[],
    )
    content = json.loads(run.parity.read_text())
    write_json(run.parity, {**content, "detector": detector.model_dump(mode="json")})
    return run


def of_an_older_version(record: Path) -> None:
    content = json.loads(record.read_text())
    write_json(record, {name: value for name, value in content.items() if name not in ("onnx_sha256", "size_bytes")})


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_not_the_one_of_its_summary(damage: str, run: RunPaths) -> None:
    assert checkpoint_problem(run.best) is None
    break_it, words = DAMAGE[damage]
    break_it(run.best)
    assert words in str(checkpoint_problem(run.best))
    assert (checkpoint_problem(run.best, hashes=False) is None) == (damage == "garbage of the same size")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_export_is_none(damage: str, run: RunPaths) -> None:
    assert is_exported(run)
    DAMAGE[damage][0](run.onnx)
    assert not is_exported(run)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["onnx", "detector_onnx"])
def test_an_export_of_two_files_is_none_when_either_is_damaged(
    damage: str, file: str, run_with_detector: RunPaths
) -> None:
    assert is_exported(run_with_detector)
    path: Path = getattr(run_with_detector, file)
    break_it, words = DAMAGE[damage]
    break_it(path)
    assert not is_exported(run_with_detector)
    report = read_section(ParityReport, run_with_detector.parity)
    assert report is not None
    problem = str(export_problem(run_with_detector, report))
    assert problem.startswith(path.name) and words in problem


def test_what_older_versions_did_not_write_down_is_unknown(run: RunPaths) -> None:
    content = json.loads(run.parity.read_text())
    del content["onnx_sha256"]
    write_json(run.parity, content)
    run.onnx.write_bytes(b"another")
    assert is_exported(run)
    run.onnx.write_bytes(b"")  # their reports have the size
    assert not is_exported(run)

    of_an_older_version(summary_path(run.best))
    assert checkpoint_problem(run.best) is None
    run.best.write_bytes(b"garbage")  # and their summaries the sha256
    assert "its sha256 is not the one" in str(checkpoint_problem(run.best))
    summary_path(run.best).unlink()
    assert checkpoint_problem(run.best) is None
