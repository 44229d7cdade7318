"""Names of runs: two different configs never share a folder."""

from pathlib import Path

import pytest

from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.schema.data import DataConfig, SampleDataConfig
from human_edge_detection.runs.paths import list_runs, run_name, sample_data_dir

STUDENT = "quickstart_student_b0"


def name(*sets: str, init_from: Path | None = None, seed_folder: bool = False) -> str:
    config, preset = resolve(STUDENT, collect(sets=sets))
    return run_name(config, preset, init_from=init_from, seed_folder=seed_folder)


def test_the_presets_config_takes_its_name() -> None:
    assert name() == STUDENT
    assert name("data.num_workers=3", "training.device=cpu") == STUDENT


def test_each_difference_gets_its_own_folder() -> None:
    names = [
        name(),
        name("training.epochs=3"),
        name("training.epochs=4"),
        name("training.seed=1"),
        name("model.contour={}"),
    ]
    names.append(name(init_from=Path("weights.pth")))
    assert len(set(names)) == len(names)
    assert all(given.startswith(f"{STUDENT}+") for given in names[1:])
    assert name("training.epochs=3") == names[1]


def test_the_seed_is_a_folder_below_and_no_part_of_the_name() -> None:
    assert name("training.seed=4", seed_folder=True) == f"{STUDENT}/seed_4"
    one, other = (
        name("training.epochs=3", seed_folder=True),
        name("training.epochs=3", "training.seed=2", seed_folder=True),
    )
    assert one.removesuffix("/seed_0") == other.removesuffix("/seed_2")


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
