"""What was started is remembered in the folder of the runs."""

from pathlib import Path

from human_edge_detection.ui.request import StartRequest
from human_edge_detection.ui.starts import STARTS_FILE, read_starts, remember

ONE = StartRequest(experiment="baseline", changes={"training.epochs": "2"}, seeds=(0, 1), also=("quickstart",))
OTHER = StartRequest(experiment="baseline", export_onnx=True)


def test_the_latest_comes_first_and_each_once(tmp_path: Path) -> None:
    for request in (ONE, OTHER, ONE):
        remember(request, tmp_path)
    assert [start.request for start in read_starts(tmp_path)] == [ONE, OTHER]
    for seed in range(30):
        remember(StartRequest(experiment="baseline", seeds=(seed,)), tmp_path)
    assert len(read_starts(tmp_path)) == 20


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    assert read_starts(tmp_path) == ()
    (tmp_path / STARTS_FILE).write_text('[{"started": "now", "request": {"experiment": 3}}]')
    assert read_starts(tmp_path) == ()
    remember(ONE, tmp_path)
    assert len(read_starts(tmp_path)) == 1
