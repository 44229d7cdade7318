"""Two runs are the same only when every bit of them is; a difference is named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.selfcheck.bitwise import (
    count_tensors,
    difference_of_leaves,
    difference_of_lines,
    first_difference,
    leaves_of,
)

pytestmark = pytest.mark.usefixtures("small_networks")

Train = Callable[..., RunResult]


@pytest.fixture(scope="module")
def config(tiny_config: ExperimentConfig) -> ExperimentConfig:
    return derive(tiny_config, name="compared", training={"ema": {"decay": 0.9}})


@pytest.fixture(scope="module")
def trained(config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = RunPaths(tmp_path_factory.mktemp("one") / "run")
    train(config, paths)
    return paths


@pytest.fixture
def copy(trained: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(shutil.copytree(trained.root, tmp_path / "copy"))


def test_a_repeated_run_is_identical(trained: RunPaths, config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    again = RunPaths(tmp_path / "elsewhere" / "again")
    train(config, again)
    assert first_difference(trained, again) is None
    assert count_tensors(again) > 100


def test_another_seed_is_not(trained: RunPaths, config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    other = RunPaths(tmp_path / "other")
    train(derive(config, name=config.name, training={"seed": 1}), other)
    assert str(first_difference(trained, other)).startswith("latest.pth: model/unet.")


@pytest.mark.parametrize("file", ["latest", "best"])
def test_one_flipped_bit_of_one_weight_is_found_and_named(trained: RunPaths, copy: RunPaths, file: str) -> None:
    name = "unet.unet.segmentation_head.0.bias"
    path = getattr(copy, file)
    checkpoint, _ = read_checkpoint(path)
    weights = dict(checkpoint.model)
    weights[name] = (weights[name].view(torch.int32) ^ 1).view(torch.float32)
    save_checkpoint(path, replace(checkpoint, model=weights))
    difference = first_difference(trained, copy)
    assert difference is not None
    assert difference.startswith(f"{path.name}: model/{name} differs in 1 of 1 elements, by ")
    assert 0 < float(difference.split()[-3]) < 1e-5


def change_training(**changes: Any) -> Callable[[RunPaths], None]:
    def change(run: RunPaths) -> None:
        checkpoint, _ = read_checkpoint(run.latest)
        training = dict(checkpoint.training or {})
        save_checkpoint(
            run.latest, replace(checkpoint, training=training | {"progress": training["progress"] | changes})
        )

    return change


def change_result(**changes: Any) -> Callable[[RunPaths], None]:
    return lambda run: _write(run.result, json.loads(run.result.read_text()) | changes)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_training(images=99), "latest.pth: training/progress/images is 16 and 99"),
        (change_training(seconds=1e9), None),
        (lambda run: run.metrics.open("a").write("{}\n"), "metrics.jsonl: 2 lines and 3 lines"),
        (change_result(best_epoch=77), "result.json: best_epoch is"),
        (change_result(seconds=1e9, images_per_second=None, run_name="other", best_checkpoint="elsewhere"), None),
    ],
)
def test_the_record_counts_and_times_and_places_do_not(
    trained: RunPaths, copy: RunPaths, change: Callable[[RunPaths], Any], expected: str | None
) -> None:
    change(copy)
    difference = first_difference(trained, copy)
    assert difference is None if expected is None else str(difference).startswith(expected)


def test_an_unfinished_run_cannot_be_compared(trained: RunPaths, copy: RunPaths) -> None:
    copy.result.unlink()
    with pytest.raises(CheckpointError, match=r"result\.json: No such file .* only finished runs can be compared"):
        first_difference(trained, copy)


NAN = float("nan")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, {"x": NAN}], [1, {"x": NAN}], None),
        ({"x": torch.tensor([NAN, 1.0])}, {"x": torch.tensor([NAN, 1.0])}, None),
        ({"x": torch.zeros(0)}, {"x": torch.zeros(0)}, None),
        ({"x": torch.tensor(3)}, {"x": torch.tensor(3)}, None),
        ({"x": torch.tensor(True)}, {"x": torch.tensor(False)}, "x differs in 1 of 1 elements, by 1 at most"),
        ({"x": 1}, {"x": 1.0}, "x is 1 and 1.0"),
        ({"x": {"y": [1, 2]}}, {"x": {"y": [1, 3]}}, "x/y/1 is 2 and 3"),
        ({"x": [1]}, {"x": [1, 2]}, "x/1 is 'absent' and 2"),
        ({"x": {}}, {"x": []}, "x is {} and []"),
        ({"x": torch.zeros(2)}, {"x": torch.zeros(2).half()}, "x is a tensor float32 (2,) and a tensor float16 (2,)"),
        ({"x": torch.zeros(2)}, {"x": torch.zeros(1, 2)}, "x is a tensor float32 (2,) and a tensor float32 (1, 2)"),
        ({"x": torch.zeros(2)}, {"x": torch.tensor([0.0, -0.0])}, "x differs in 1 of 2 elements, by 0 at most"),
        ({"x": torch.zeros(2)}, {"x": torch.tensor([NAN, 2.0])}, "x differs in 2 of 2 elements, by nan at most"),
        ({"x": torch.zeros(2)}, {"x": None}, "x is a tensor float32 (2,) and None"),
        ({"a": 1, "x": 1}, {"x": 2, "b": 1}, "a is 1 and 'absent'"),
    ],
)
def test_the_first_difference_of_nested_values(a: Any, b: Any, expected: str | None) -> None:
    assert difference_of_leaves(leaves_of(a), leaves_of(b)) == expected


def test_the_layout_in_memory_is_no_difference() -> None:
    tensor = torch.rand(2, 3, 4, 5)
    assert difference_of_leaves({"x": tensor}, {"x": tensor.to(memory_format=torch.channels_last)}) is None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (b"1\n2\n", b"1\n2\n", None),
        (b"1\n2\n", b"1\n3\n", "line 2 differs: 2 and 3"),
        (b"1\n2\n", b"1\n", "2 lines and 1 lines"),
        (b"1\n", b"1", "1 lines and 1 lines"),
    ],
)
def test_the_first_line_that_differs(a: bytes, b: bytes, expected: str | None) -> None:
    assert difference_of_lines(a, b) == expected
