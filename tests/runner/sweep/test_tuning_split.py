"""The part of the training images that settings are chosen on."""

import json
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.run_experiments import preview_experiments
from human_edge_detection.runner.sweep.sweep import SweepRequest, read_sweep
from human_edge_detection.runner.sweep.tuning_split import TuningSplit, split


def annotations(count: int) -> dict[str, Any]:
    return {
        "info": {"year": 2030},
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(count)],
        "annotations": [{"id": number, "image_id": number // 2} for number in range(2 * count)],
        "categories": [{"id": 1, "name": "person"}],
    }


def ids(part: dict[str, Any]) -> set[int]:
    return {image["id"] for image in part["images"]}


def test_a_fifth_is_held_out_with_its_annotations_and_nothing_is_in_both_parts() -> None:
    kept, held_out = split(annotations(100))
    assert (len(ids(kept)), len(ids(held_out))) == (80, 20)
    assert ids(kept) | ids(held_out) == set(range(100))
    for part in (kept, held_out):
        assert {entry["image_id"] for entry in part["annotations"]} == ids(part)
        assert len(part["annotations"]) == 2 * len(part["images"])
        assert part["categories"] and part["info"]


def test_the_parts_do_not_depend_on_the_order_of_the_file() -> None:
    turned = annotations(50)
    turned["images"].reverse()
    assert ids(split(annotations(50))[1]) == ids(split(turned)[1])


def test_it_is_written_once_and_can_be_trained_on(tiny_coco: Path, tmp_path: Path) -> None:
    tuning = TuningSplit(DataConfig(root=str(tiny_coco)), tmp_path)
    tuning.write()
    files = {path: path.stat().st_mtime_ns for path in tuning.folder.iterdir()}
    tuning.write()
    assert {path: path.stat().st_mtime_ns for path in tuning.folder.iterdir()} == files
    fields = {change.path: change.value for change in tuning.changes("--trials")}
    parts = [
        read_annotations(Path(fields[f"data.{name}_ann"]), Path(fields[f"data.{name}_images"]))
        for name in ("train", "val")
    ]
    assert [len(part.images) for part in parts] == [6, 2]


def test_annotations_that_have_changed_since_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    file.write_text(json.dumps(annotations(10)))
    data = DataConfig(train_ann=str(file), val_ann=str(file), train_images="images", val_images="images")
    tuning = TuningSplit(data, tmp_path / "experiments")
    tuning.write()
    file.write_text(json.dumps(annotations(12)))
    with pytest.raises(ConfigError, match="has changed since"):
        tuning.write()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (annotations(1), "1 images, expected 2 or more"),
        ({**annotations(4), "images": [{"file_name": "a.jpg"}] * 4}, "without a whole number 'id'"),
        ({"images": []}, "no list 'annotations'"),
    ],
)
def test_annotations_that_cannot_be_split_are_refused(tmp_path: Path, content: object, problem: str) -> None:
    file = tmp_path / "train.json"
    file.write_text(json.dumps(content))
    data = DataConfig(train_ann=str(file), val_ann=str(file), train_images="images", val_images="images")
    tuning = TuningSplit(data, tmp_path / "experiments")
    with pytest.raises(DataError, match=problem):
        tuning.write()
    assert not tuning.folder.exists()


def test_a_preview_names_the_runs_as_they_will_be_called_and_writes_nothing(tiny_coco: Path, tmp_path: Path) -> None:
    output_dir = tmp_path / "experiments"
    overrides = collect(flags={"--data_root": str(tiny_coco)})
    request = BatchRequest(names=("quickstart_student_b0",), output_dir=output_dir, overrides=overrides)
    asked = SweepRequest(("training.learning_rate=0.1,0.2",), tuning_split=True)
    lines = preview_experiments(request, sweep=asked)
    assert not output_dir.exists()
    sweep = read_sweep(asked, request, Options())
    assert sweep.split is not None
    sweep.split.write()
    names = [run.name for run in plan(sweep.competing)]
    assert len(names) == 2
    assert [line.split()[1] for line in lines if line[:1].isdigit()] == names
    assert any(str(sweep.split.folder) in line for line in lines)
