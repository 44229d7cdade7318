"""Every rule of the schema names its field."""

from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.experiment import build_config, derive

FOUR = {"train_ann": "a", "val_ann": "b", "train_images": "c", "val_images": "d"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("model.image_size", {"model": {"image_size": [100, 96]}}),
        ("model.roi_size", {"model": {"roi_size": [81, 60]}}),
        ("model.mask_size", {"model": {"roi_size": [80, 60], "mask_size": [64, 48]}}),
        ("model.contour", {"model": {"head": "plain", "contour": {}}}),
        ("model.distance", {"model": {"head": "plain", "distance": {}}}),
        ("distillation", {"model": {"head": "none"}, "distillation": {"teacher_config": "t"}}),
        ("model.freeze_unet_epochs", {"model": {"freeze_unet_epochs": 1}}),
        ("loss.class_weights", {"loss": {"class_weights": [0.0, 0.0, 0.0]}}),
        ("data", {"data": {"train_ann": "a"}}),
        ("data", {"data": {"root": "a", **FOUR}}),
        ("data", {"data": {"root": "a", "sample": {}}}),
        ("data.augmentation.scale", {"data": {"augmentation": {"scale": [1.5, 1.0]}}}),
        ("distillation", {"distillation": {}}),
        ("distillation.teacher_config", {"distillation": {"teacher_config": "one"}}),
        ("training.batch_size", {"training": {"batch_size": 0}}),
        ("training.epochs", {"training": {"epochs": -1}}),
        ("training.epochs", {"training": {"epochs": "3"}}),
        ("distillation.alpha", {"distillation": {"teacher_config": "t", "alpha": 1.1}}),
        ("distillation.temperature", {"distillation": {"teacher_config": "t", "temperature": 0.0}}),
        ("model.encoder", {"model": {"encoder": "vgg"}}),
    ],
)
def test_each_rule_names_its_path(path: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"name": "one", **fields})
    assert f" {path}: " in f" {caught.value}".replace("config:", "config: ")


def test_all_problems_are_reported_at_once_and_unknown_fields_get_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"name": "one", "training": {"batch_size": 0, "epoch": 3}, "modle": {}})
    message = str(caught.value)
    assert "training.batch_size" in message
    assert "training.epoch: unknown field (did you mean 'epochs'?)" in message
    assert "modle: unknown field (did you mean 'model'?)" in message


def test_derive_merges_sections_and_turns_them_on_and_off() -> None:
    parent = build_config({"name": "parent", "training": {"ema": {"decay": 0.9}, "epochs": 7}})
    child = derive(parent, name="child", training={"ema": None}, model={"contour": {}})
    assert child.training.ema is None
    assert child.training.epochs == 7
    assert child.model.contour is not None
    assert parent.training.ema is not None
