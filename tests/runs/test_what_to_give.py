"""What to give in place of what cannot be a checkpoint."""

from pathlib import Path

import pytest

from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.what_to_give import instead_of


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    run = RunPaths(tmp_path / "runs" / "teacher" / "seed_0")
    run.checkpoints.mkdir(parents=True)
    run.best.touch()
    run.onnx.touch()
    run.parity.touch()
    return run


def test_a_checkpoint_and_what_is_not_there_are_left_to_its_reader(run: RunPaths, tmp_path: Path) -> None:
    assert instead_of(run.best) is None
    assert instead_of(tmp_path / "nowhere.onnx") is None


def test_a_run_folder_and_its_checkpoints_are_named_with_the_best_one(run: RunPaths, tmp_path: Path) -> None:
    for folder in (run.root, run.checkpoints, run.root.parent):
        assert instead_of(folder) == f"a folder, not a checkpoint; give {run.best}"
    assert "in which no run has a best checkpoint" in str(instead_of(tmp_path))


def test_of_several_seeds_all_are_named(run: RunPaths) -> None:
    other = RunPaths(run.root.with_name("seed_1"))
    other.checkpoints.mkdir(parents=True)
    other.best.touch()
    assert instead_of(run.root.parent) == f"a folder of several runs; give one of {run.best}, {other.best}"


def test_exports_and_records_are_named_with_the_checkpoint_beside_them(run: RunPaths, tmp_path: Path) -> None:
    assert instead_of(run.onnx) == (f"an exported model, which can teach and cannot be trained; give {run.best}")
    assert instead_of(run.parity) == f"a record and no weights; give {run.best}"
    (tmp_path / "b.onnx").touch()
    assert str(instead_of(tmp_path / "b.onnx")).endswith("give the best_model.pth that it was made from")
