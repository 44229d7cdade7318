import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine.build import (
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    read_splits,
    read_test_split,
)
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.data_folder import find_split


def test_every_part_of_the_loss_comes_from_the_config(tiny_config: ExperimentConfig) -> None:
    config = derive(
        tiny_config,
        name="all",
        model={"contour": {"loss_weight": 0.7}, "distance": {"loss_weight": 0.8}},
        loss={
            "main": 2.0,
            "bg_fg": 0.1,
            "target_nontarget": 0.2,
            "full_image": 0.4,
            "dice_weight": 0.9,
            "class_weights": [1.0, 2.0, 3.0],
            "boundary": {"weight": 5.0, "width": 3},
        },
    )
    loss = build_loss(config)
    expected = {"main": 2.0, "bg_fg": 0.1, "target_nontarget": 0.2, "full_image": 0.4, "contour": 0.7, "distance": 0.8}
    assert loss.weights == expected
    assert loss.settings is config.loss
    plain = build_loss(tiny_config)
    assert plain.weights.keys() == {"main", "bg_fg", "target_nontarget", "full_image"}


def test_distillation_comes_from_the_config() -> None:
    fields = {"teacher_config": "t", "main": 1.5, "bg_fg": 0.0, "full_image": 0.4, "confidence_threshold": 0.8}
    loss = build_distillation_loss(DistillationConfig.model_validate(fields))
    assert loss.weights == {"main": 1.5, "target_nontarget": 0.3, "full_image": 0.4, "detector": 0.3}
    assert loss.confidence_threshold == 0.8


@pytest.mark.parametrize(
    ("head", "optional"), [("hierarchical", {}), ("hierarchical", {"distance": {}}), ("plain", {}), ("none", {})]
)
def test_the_model_has_the_sizes_and_the_heads_of_the_config(
    head: str, optional: dict[str, dict[str, float]], tiny_config: ExperimentConfig
) -> None:
    config = derive(tiny_config, name="head", model={"head": head, **optional}).model
    output = build_model(config).eval()(torch.rand(1, 3, *config.image_size), torch.tensor([[0.0, 0.1, 0.1, 0.9, 0.9]]))
    assert output.logits.shape == (int(head != "none"), 3, *config.mask_size)
    assert ("bg_fg_logits" in output.aux) is (head == "hierarchical")
    assert {each.key for each in config.heads} == set(output.aux) | ({"logits"} if len(output.logits) else set())


def test_every_parameter_is_in_one_group_of_the_optimizer(tiny_config: ExperimentConfig) -> None:
    model = build_model(tiny_config.model)
    config = derive(tiny_config, name="groups", training={"learning_rate": 1e-2, "encoder_lr_scale": 0.5}).training
    groups = build_optimizer(model, config).param_groups
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    encoder = {id(parameter) for parameter in model.unet.unet.encoder.parameters()}
    for group in groups:
        expected = 5e-3 if id(group["params"][0]) in encoder else 1e-2
        assert group["base_lr"] == expected
        assert {id(parameter) in encoder for parameter in group["params"]} == {expected == 5e-3}


def test_data_are_found_by_root_and_by_the_four_paths(tiny_coco: Path, tmp_path: Path) -> None:
    by_root = read_splits(DataConfig(root=str(tiny_coco)), tmp_path, seed=0)
    annotations, images = tiny_coco / "annotations", tiny_coco / "images"
    four = DataConfig(
        train_ann=str(annotations / "instances_train.json"),
        val_ann=str(annotations / "instances_val.json"),
        train_images=str(images / "train"),
        val_images=str(images / "val"),
    )
    assert read_splits(four, tmp_path, seed=0) == by_root
    assert (len(by_root.train.images), len(by_root.val.images)) == (8, 4)
    with pytest.raises(ConfigError, match="no data: give --data_root DIR, or --train_ann"):
        read_splits(DataConfig(), tmp_path, seed=0)


@pytest.mark.parametrize(
    "data", [{"root": None, "sample": {"train_images": 5, "val_images": 2, "image_size": [48, 64]}}, {}]
)
def test_some_of_the_training_images_are_drawn_and_all_validate(
    data: dict[str, Any], tiny_config: ExperimentConfig, tmp_path: Path
) -> None:
    config = derive(tiny_config, name="part", data={**data, "max_train_images": 3}).data
    whole = read_splits(config.model_copy(update={"max_train_images": None}), tmp_path, seed=0)
    drawn, again, other = (read_splits(config, tmp_path, seed=seed) for seed in (0, 0, 1))
    assert len(drawn.train.images) == 3
    assert drawn == again
    assert drawn.val == whole.val == other.val
    assert len({splits.train.fingerprint for splits in (whole, drawn, other)}) == 3


def test_training_is_augmented_and_validation_is_not(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    people = read_splits(tiny_config.data, tmp_path, seed=0)
    training = build_training_set(tiny_config, people.train)
    assert (training[(0, 0)].image != training[(1, 0)].image).any()
    assert max(len(training[(0, index)].boxes) for index in range(8)) <= 3
    validation = build_validation_set(tiny_config.model, people.val)
    assert (validation[(0, 0)].image == validation[(1, 0)].image).all()
    plain = derive(tiny_config, name="plain", data={"augmentation": None})
    assert (
        build_training_set(plain, people.train)[(0, 0)].image == build_training_set(plain, people.train)[(1, 0)].image
    ).all()


def test_a_test_split_is_held_against_the_others(
    tested_coco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataConfig(root=str(tested_coco))
    fresh = read_test_split(find_split(tested_coco, "test"), data, tmp_path, seed=0)
    assert (len(fresh.people.images), fresh.also_in) == (4, {"train": 0, "val": 0})
    assert fresh.people.images_fingerprint is not None
    assert caplog.text == ""
    seen = read_test_split(find_split(tested_coco, "val"), data, tmp_path, seed=0)
    assert seen.also_in == {"train": 0, "val": 4}
    assert "4 of 4 images of test are also in val, byte for byte" in caplog.text
    shutil.rmtree(tested_coco / "images" / "train")
    unknown = read_test_split(find_split(tested_coco, "test"), data, tmp_path, seed=0)
    assert unknown.also_in == {}
    assert "whether the model has seen images of" in caplog.text


def test_training_warns_of_its_test_split_and_goes_on(
    tested_coco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataConfig(root=str(tested_coco))
    without = read_splits(data, tmp_path, seed=0)
    assert read_splits(data, tmp_path, seed=0, with_test=True) == without
    assert caplog.text == ""
    shutil.copy(tested_coco / "images/train/000001.png", tested_coco / "images/test/000001.png")
    assert read_splits(data, tmp_path, seed=0, with_test=True) == without
    assert "1 of 4 images of test are also in train, byte for byte" in caplog.text
    (tested_coco / "annotations" / "instances_test.json").write_text("{}")
    assert read_splits(data, tmp_path, seed=0, with_test=True) == without
    assert "the test split cannot be used, and training goes on without: " in caplog.text
