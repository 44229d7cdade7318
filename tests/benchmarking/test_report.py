import csv
import json
import logging
from pathlib import Path

import pytest
from benchmark_rows import row

from human_edge_detection.benchmarking.records import Benchmark, Settings
from human_edge_detection.benchmarking.report import check_folder, show_report, write_report
from human_edge_detection.errors import StorageError

BENCHMARK = Benchmark(
    rows=(
        row("ours", miou=0.5, person_iou=0.75, AP=0.4),
        row("peer", weights="foreign", rois=None, ratio=float("nan")),
    ),
    reference="ours",
    settings=Settings(),
    machine={"processor": "a processor", "cores": 2},
    data={"images": 7, "persons": 9},
    notes=("something to know",),
)


def test_the_files_hold_every_number(tmp_path: Path) -> None:
    files = write_report(BENCHMARK, b"png", tmp_path / "new" / "report")
    content = json.loads(files[0].read_text())
    assert content["rows"][0]["person_iou"] == 0.75
    assert content["rows"][1]["ratio"] is None  # JSON has no NaN
    assert (content["reference"], content["settings"]["rounds"]) == ("ours", 50)
    with files[1].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [one["model"] for one in rows] == ["ours", "peer"]
    assert rows[1]["rois"] == ""
    assert files[2].read_bytes() == b"png"


def test_an_earlier_report_is_replaced_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    caplog.set_level(logging.INFO)
    write_report(BENCHMARK, b"old", tmp_path)
    assert "replacing" not in caplog.text
    write_report(BENCHMARK, b"new", tmp_path)
    assert f"replacing the benchmark that is in {tmp_path}" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "benchmark.csv",
        "benchmark.json",
        "mine.txt",
        "pareto.png",
    ]


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "deep")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file is no folder that can be written to"):
        check_folder(tmp_path / "file" / "report")


def test_the_table_has_a_dash_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(BENCHMARK, [Path("benchmark.json")])
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    numbers = "96x128 1 1 CPU 12.5 14.0 12.0 1.00 30 22.9 0.5000 0.7500 0.4000"
    assert " ".join(lines["ours"]) == f"ours trained {numbers}"
    assert lines["peer"][-3:] == ["-", "-", "-"]
    assert "times of ours; medians of 50 rounds" in shown
    assert "something to know" in shown
    assert "written: benchmark.json" in shown
    assert "…" not in shown
