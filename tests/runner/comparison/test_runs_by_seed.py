"""Runs compared on their test splits, from made-up run folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import WEIGHTS, made_up_counts, sha256_of, write_counted_run, write_tested

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.runner.comparison.caveats import notes_on, notes_on_split
from human_edge_detection.runner.comparison.paired import Comparison, Line, compare_methods
from human_edge_detection.runner.comparison.runs_by_seed import Split, find_method
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.per_image import PerImage

WriteRun = Callable[..., RunPaths]
AddRun = Callable[..., RunPaths]
_, STUDENT, DISTILLED = expand(["quickstart"])[:3]


@pytest.fixture
def output_dir(tmp_path: Path) -> Path:
    return tmp_path / "experiments"


@pytest.fixture
def add(output_dir: Path, write_run: WriteRun) -> AddRun:
    """``add(name, counts, **result)``: a finished student below the output folder."""

    def add_run(name: str, counts: PerImage, **result: Any) -> RunPaths:
        return write_counted_run(write_run, output_dir / name, get_config(STUDENT), counts, **result)

    return add_run


def compared(output_dir: Path, name: str, *, against: str | None = None, split: Split = "test") -> Comparison:
    methods = [find_method(name, output_dir, split)]
    control = find_method(against, output_dir, split) if against else None
    return compare_methods(methods, control, notes_on_split(methods, control), resamples=500)


def main_line(comparison: Comparison) -> Line:
    return next(line for line in comparison.lines if (line.metric, line.slice) == ("miou", "all"))


def test_on_a_test_split_images_and_scores_are_those_of_the_test_split(
    output_dir: Path, add: AddRun, write_run: WriteRun
) -> None:
    """On val the run is worse, on test better."""
    teacher = add("teacher", made_up_counts(), metrics={"miou": 0.8})
    taught = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": sha256_of(WEIGHTS), "teacher_miou": 0.5}
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    run = write_counted_run(write_run, output_dir / "run", config, made_up_counts(skill=0.7, seed=1), **taught)
    control = add("control", made_up_counts(skill=0.8, seed=2))
    write_tested(run, made_up_counts(images=40, skill=0.85, seed=3))
    write_tested(control, made_up_counts(images=40, skill=0.75, seed=4))
    on_val, on_test = (
        compared(output_dir, "run", against="control", split="val"),
        compared(output_dir, "run", against="control"),
    )
    assert (on_val.split, on_val.images, on_test.split, on_test.images) == ("val", 60, "test", 40)
    assert [main_line(one).difference.verdict for one in (on_val, on_test)] == ["worse", "better"]  # type: ignore[union-attr]
    assert str(on_test.notes[0]).startswith("scores are of the test split: 40 images, ")
    assert on_test.to_json()["split"] == "test"

    line = main_line(on_test)
    assert line.teacher_share is None, "its teacher was not tested"
    method = find_method("run", output_dir, "test")
    assert f"its teacher has no test scores: hed evaluate {teacher.root} --split test" in "".join(
        str(note) for note in notes_on([method], None)
    )
    write_tested(teacher, made_up_counts(images=40), metrics={"miou": 0.9}, images_fingerprint="others")
    assert main_line(compared(output_dir, "run")).teacher_share is None
    write_tested(teacher, made_up_counts(images=40), metrics={"miou": 0.9})
    assert main_line(compared(output_dir, "run")).teacher_share == pytest.approx(line.score.mean / 0.9)


def test_what_scores_on_each_split_are_worth_is_said(output_dir: Path, add: AddRun) -> None:
    run, control = add("run", made_up_counts(seed=1)), add("control", made_up_counts(seed=2))
    (note,) = notes_on_split([find_method("run", output_dir)], None)
    assert "they flatter; --split test compares" in note.text
    write_tested(run, made_up_counts(seed=1), also_in={"train": 3, "val": 1}, precision="bf16")
    write_tested(control, made_up_counts(seed=2), also_in={"train": 2})
    found = compared(output_dir, "run", against="control")
    assert [str(note) for note in found.notes if note.deviation] == [
        "DEVIATION: 3 of 60 test images are also in train: scores on them say little",
        "DEVIATION: 1 of 60 test images are also in val: scores on them say little",
        "DEVIATION: test scores were measured in different ways: cpu bf16, cpu fp32",
    ]
    assert any("is not known of" in note.text for note in found.notes)


@pytest.mark.parametrize("other", [{"data_fingerprint": "other"}, {"images_fingerprint": "other"}])
def test_scores_of_different_test_splits_are_not_compared(other: dict[str, str], output_dir: Path, add: AddRun) -> None:
    write_tested(add("run", made_up_counts(seed=1)), made_up_counts(seed=1))
    control = add("control", made_up_counts(seed=2))
    with pytest.raises(ConfigError, match=r"control: it has no test scores; hed evaluate .*control --split test"):
        compared(output_dir, "run", against="control")
    write_tested(control, made_up_counts(seed=2), **other)
    with pytest.raises(ConfigError, match=r"were tested on different data \(test .*give hed evaluate --split test for"):
        compared(output_dir, "run", against="control")
