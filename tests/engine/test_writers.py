import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from human_edge_detection.engine.writers import RunWriters, truncate_metrics
from human_edge_detection.errors import CheckpointError


def read_events(folder: Path) -> Any:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_events(folder).Scalars(name)]


def test_a_record_is_on_the_disk_at_once_and_in_tensorboard(tmp_path: Path) -> None:
    logs, metrics = tmp_path / "logs", tmp_path / "metrics.jsonl"
    with RunWriters(logs, metrics, purge_step=None) as writers:
        writers.epoch({"epoch": 1, "miou": 0.5, "worst": math.nan, "absent": None, "note": "ä"}, step=10)
        record = json.loads(metrics.read_text(encoding="utf-8"))
        writers.scalars(11, {"loss/main": 0.25})
        writers.picture(11, "validation/image", np.zeros((4, 5, 3), np.uint8))
    assert record == {"epoch": 1, "miou": 0.5, "worst": None, "absent": None, "note": "ä"}
    assert points(logs, "miou") == [(10, 0.5)]
    assert points(logs, "loss/main") == [(11, 0.25)]
    tags = read_events(logs).Tags()
    assert tags["images"] == ["validation/image"]
    assert sorted(tags["scalars"]) == ["epoch", "loss/main", "miou"]


def test_a_resumed_run_appends_and_tensorboard_forgets_what_is_done_again(tmp_path: Path) -> None:
    logs, metrics = tmp_path / "logs", tmp_path / "metrics.jsonl"
    with RunWriters(logs, metrics, purge_step=None) as writers:
        for epoch in (1, 2, 3):
            writers.epoch({"epoch": epoch, "miou": epoch / 10}, step=epoch)
    truncate_metrics(metrics, last_epoch=1)
    with RunWriters(logs, metrics, purge_step=2) as writers:
        writers.epoch({"epoch": 2, "miou": 0.5}, step=2)
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert records == [{"epoch": 1, "miou": 0.1}, {"epoch": 2, "miou": 0.5}]
    assert [step for step, _ in points(logs, "miou")] == [1, 2]


def test_an_unfinished_last_line_is_dropped(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3, "mi')
    truncate_metrics(metrics, last_epoch=9)
    assert metrics.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"epoch": 1}\n{"epoch": 2}')
    truncate_metrics(metrics, last_epoch=2)
    assert metrics.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_damage_before_the_last_line_is_an_error_and_the_file_stays(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    content = '{"epoch": 1}\n\0\0\0\n{"epoch": 3}\n'
    metrics.write_text(content)
    with pytest.raises(CheckpointError, match="line 2"):
        truncate_metrics(metrics, last_epoch=2)
    assert metrics.read_text() == content


def test_a_missing_file_stays_missing(tmp_path: Path) -> None:
    truncate_metrics(tmp_path / "metrics.jsonl", last_epoch=2)
    assert list(tmp_path.iterdir()) == []
