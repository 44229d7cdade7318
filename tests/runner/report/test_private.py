from pathlib import Path

import pytest

from human_edge_detection.runner.report.private import Private


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Private:
    monkeypatch.setenv("HOME", "/home/jane doe")
    return Private(tmp_path / "experiments", hosts=["node-17"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loss is 1/2 of 3 / 4, mIoU/target", "loss is 1/2 of 3 / 4, mIoU/target"),
        ("hed train --set data.root=/data/set/people", "hed train --set data.root=…/people"),
        ("/home/jane doe/data: no such folder", "…/data: no such folder"),
        ("/home/somebody is not there", "… is not there"),
        ("'/mnt/disk/a.jpg' and \"/mnt/b.jpg\"", "'…/a.jpg' and \"…/b.jpg\""),
        ("~/runs/a", "…/a"),
        (r"C:\Users\jane\runs\a", "…/a"),
        ("process 12 on node-17 since 12:00", "process 12 on a machine since 12:00"),
        ("on node-17b", "on node-17b"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("experiments/a/checkpoints", "experiments/a/checkpoints"),
    ],
)
def test_it_says_no_place_and_no_machine(hidden: Private, text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_paths_beside_the_runs_are_relative(hidden: Private, tmp_path: Path) -> None:
    assert hidden(f"--resume {tmp_path}/experiments/a --x") == "--resume experiments/a --x"
    assert hidden(f"{tmp_path}/sample_data/people") == "sample_data/people"
    assert str(tmp_path) not in hidden(f"{tmp_path}2/other and {tmp_path}")
