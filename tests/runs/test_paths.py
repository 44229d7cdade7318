"""Where the files of runs lie."""

from pathlib import Path

import pytest

from human_edge_detection.experiments.schema.data import DataConfig, SampleDataConfig
from human_edge_detection.runs.paths import list_runs, sample_data_dir


def test_sample_data_lies_beside_the_runs_one_folder_for_each_way_to_draw_it() -> None:
    default = sample_data_dir(Path("a/experiments"), DataConfig())
    assert default.parent == Path("a/sample_data")
    assert default != sample_data_dir(Path("a/experiments"), DataConfig(sample=SampleDataConfig(seed=1)))


@pytest.mark.parametrize("seeds", [(0, 2, 10)])
def test_runs_are_listed_by_name_and_seed(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    for folder in ("b", *(f"a/seed_{seed}" for seed in reversed(seeds))):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "status.json").touch()
    assert {run.root.relative_to(tmp_path).as_posix() for run in list_runs(tmp_path)} == {
        "b",
        "a/seed_0",
        "a/seed_2",
        "a/seed_10",
    }
    seeded = [run.root.name for run in list_runs(tmp_path) if run.root.parent.name == "a"]
    assert seeded == ["seed_0", "seed_2", "seed_10"]
