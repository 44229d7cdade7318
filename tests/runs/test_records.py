"""Files of a run that are not what they should be: one line, and which field."""

import json
import os
from pathlib import Path

import pytest

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.records import (
    CheckpointSummary,
    ParityReport,
    RunResult,
    RunStatus,
    read_history,
    read_section,
)

REST = '"experiment": "a", "sha256": "b", "epoch": 1, "data_fingerprint": ""}'


def test_what_is_not_there_is_none_or_empty(tmp_path: Path) -> None:
    assert read_section(RunStatus, tmp_path / "status.json") is None
    assert read_history(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", r"Invalid JSON"),
        ("[]", r"\(Input should be"),
        ('{"sha256": 7}', r"experiment: Field required"),
        (
            '{"experiment": "a", "sha256": "b", "epoch": 1, "metrics": {}, "data_fingerprint": "", "x": 1}',
            r"\(x: Extra",
        ),
        (
            '{"experiment": "a", "sha256": "b", "epoch": 1, "metrics": {"m": NaN}, "data_fingerprint": ""}',
            r"metrics\.m: ",
        ),
    ],
)
def test_a_damaged_summary_is_named_with_its_field(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "best_model.json").write_text(content)
    with pytest.raises(CheckpointError, match=problem) as caught:
        read_section(CheckpointSummary, tmp_path / "best_model.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("passed", [True, False])
def test_a_parity_report_of_an_older_version_is_what_it_says(tmp_path: Path, passed: bool) -> None:
    written = {"onnx": "a.onnx", "checkpoint_sha256": "b", "opset": 18, "size_bytes": 1, "tolerance": 1e-4}
    figures = {"max_difference": 2e-4, "mask_iou": 1.0}
    cases = [{"images": 1, "rois": 1, **figures}]
    (tmp_path / "parity.json").write_text(json.dumps({**written, **figures, "passed": passed, "cases": cases}))
    report = read_section(ParityReport, tmp_path / "parity.json")
    assert report is not None
    assert report.passed == passed, "by the rule of then, whatever its figures are"
    assert report.in_words == "differs from PyTorch by 0.0002, allowed 0.0001"
    assert (report.tolerances, report.max_probability_difference, report.cases[0].outputs) == (None, None, ())


def test_a_long_key_does_not_fill_the_message(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"%s": "text"}' % ("a\\n" * 10_000))
    with pytest.raises(CheckpointError) as caught:
        read_history(tmp_path / "metrics.jsonl")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "status.json")
    (tmp_path / "metrics.jsonl").symlink_to("metrics.jsonl")
    (tmp_path / "result.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"status\.json: cannot be read \(Not a regular file\)"):
        read_section(RunStatus, tmp_path / "status.json")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: cannot be read \(Too many levels"):
        read_history(tmp_path / "metrics.jsonl")
    with pytest.raises(CheckpointError, match=r"result\.json: cannot be read \(Not a regular file\)"):
        read_section(RunResult, tmp_path / "result.json")


def test_the_advice_is_the_least_that_helps(tmp_path: Path) -> None:
    (tmp_path / "contents.json").write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        read_section(RunContents, tmp_path / "contents.json")
    assert str(caught.value).endswith("delete this file alone: what it says is found anew")
    assert "RunContents" not in str(caught.value)


def test_numbers_out_of_range_are_damage(tmp_path: Path) -> None:
    status = '{"state": "running", "epochs": 1, "pid": %s, "host": "", "started": "", "updated": ""}'
    (tmp_path / "status.json").write_text(status % 10**30)
    with pytest.raises(CheckpointError, match="pid: Input should be less than"):
        read_section(RunStatus, tmp_path / "status.json")
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "val/miou": NaN}')
    with pytest.raises(CheckpointError, match=r"val/miou\..*Input should be"):
        read_history(tmp_path / "metrics.jsonl")
