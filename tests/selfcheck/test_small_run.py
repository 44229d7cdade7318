"""A small version of an experiment: its own data and settings, a few images."""

import json
from pathlib import Path

import pytest

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.engine.build import read_splits
from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import DEFAULT_NAME, get_config, list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.selfcheck.small_run import as_config_file, make_small, subset

pytestmark = pytest.mark.usefixtures("small_networks")

MAY_DIFFER = {
    *("data.root", "data.train_ann", "data.val_ann", "data.train_images", "data.val_images"),
    *("data.sample.train_images", "data.sample.val_images"),
    *("training.epochs", "training.checkpoint_minutes", "training.visualize_images"),
}


def changed(a: ExperimentConfig, b: ExperimentConfig) -> set[str]:
    return set(compare_fields(a.model_dump(mode="json"), b.model_dump(mode="json")))


def test_only_size_and_place_of_the_data_and_the_length_change(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(tiny_config, name="small", training={"batch_size": 1, "ema": {"decay": 0.9}})
    small = make_small(config, tmp_path)
    assert changed(config, small) <= MAY_DIFFER
    splits = read_splits(small.data, tmp_path, seed=0)
    assert (len(splits.train.images), len(splits.val.images)) == (4, 4)
    assert splits.train.images_dir == find_split(Path(str(tiny_config.data.root)), "train").images


def test_images_with_people_come_first_and_the_whole_annotation_comes_along(tiny_coco: Path) -> None:
    people = read_annotations(*find_split(tiny_coco, "train"))
    few, all_of_them = subset(people, 7), subset(people, 99)
    assert [image["id"] for image in few["images"]] == [1, 2, 4, 5, 6, 7, 8]  # the third shows nobody
    assert {annotation["image_id"] for annotation in subset(people, 2)["annotations"]} == {1, 5}
    assert all_of_them == json.loads(people.file.read_bytes())


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_sample_data_are_drawn_small(batch_size: int, tmp_path: Path) -> None:
    config = derive(get_config("quickstart_student_b0"), name="sample", training={"batch_size": batch_size})
    small = make_small(config, tmp_path)
    assert changed(config, small) <= MAY_DIFFER
    assert small.data.sample is not None
    assert small.data.sample.train_images == {1: 4, 2: 8, 50: 96}[batch_size]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", list_configs(), ids=lambda config: str(config.name))
def test_a_config_file_of_it_means_the_same_experiment(config: ExperimentConfig, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(as_config_file(derive(config, name="mine", training={"epochs": 7}))))
    overrides = collect(config_file=file)
    again = apply(get_config(DEFAULT_NAME), overrides)
    assert again == derive(config, name="mine", training={"epochs": 7})
