"""Files of a run that are not what they should be: one line, and which field."""

from pathlib import Path

import pytest

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.records import CheckpointSummary, RunStatus, read_history, read_section

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


def test_a_long_key_does_not_fill_the_message(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"%s": "text"}' % ("a\\n" * 10_000))
    with pytest.raises(CheckpointError) as caught:
        read_history(tmp_path / "metrics.jsonl")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
