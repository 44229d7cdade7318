import csv
import math
from pathlib import Path

import pytest

from human_edge_detection.engine.training import overview
from human_edge_detection.engine.training.overview import write_overview
from human_edge_detection.errors import StorageError
from human_edge_detection.runs.paths import RunPaths

FIRST = {"epoch": 1, "train/total": 2.5, "val/miou": None, "gradient": math.inf}
SECOND = {"epoch": 2, "train/total": 1.5, "val/miou": 0.25, "tuning": 0.125}


def test_a_row_an_epoch_written_anew_each_time(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    write_overview(paths, [FIRST, SECOND, SECOND])
    figure = paths.progress.read_bytes()
    write_overview(paths, [FIRST, SECOND])  # gone back by an epoch
    rows = list(csv.DictReader(paths.results.open()))
    assert rows == [
        {"epoch": "1", "train/total": "2.5", "val/miou": "", "gradient": "", "tuning": ""},
        {"epoch": "2", "train/total": "1.5", "val/miou": "0.25", "gradient": "", "tuning": "0.125"},
    ]
    assert paths.progress.read_bytes() != figure
    write_overview(paths, [])
    assert list(paths.root.iterdir()) == []


def test_a_full_disk_costs_the_overview_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise StorageError(f"{path}: no space left")

    monkeypatch.setattr(overview, "write_atomically", fail)
    write_overview(RunPaths(tmp_path), [FIRST])
    assert "no space left; training goes on" in caplog.text
