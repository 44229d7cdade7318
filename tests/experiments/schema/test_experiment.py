"""Every rule of the schema names its field."""

from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.experiment import build_config, derive

FOUR = {"train_ann": "a", "val_ann": "b", "train_images": "c", "val_images": "d"}

NOTHING = {"main": 0.0, "bg_fg": 0.0, "target_nontarget": 0.0, "full_image": 0.0}
"""Weights with which no head learns."""


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
        ("loss", {"loss": NOTHING}),
        ("loss", {"loss": NOTHING, "distillation": {"teacher_config": "t", "alpha": 0.0}}),
        ("loss", {"loss": NOTHING, "distillation": {"teacher_config": "t", **NOTHING}}),
        ("loss", {"loss": {"main": 0.0, "full_image": 0.0}, "model": {"head": "plain"}}),
        ("loss", {"loss": {"full_image": 0.0}, "model": {"head": "none"}}),
        ("loss.boundary", {"loss": {"boundary": {}}, "model": {"head": "none"}}),
        ("loss.boundary", {"loss": {"boundary": {}, "main": 0.0}}),
        ("data", {"data": {"train_ann": "a"}}),
        ("data", {"data": {"root": "a", **FOUR}}),
        ("data", {"data": {"root": "a", "sample": {}}}),
        ("data", {"data": {"root": "a", "test_ann": "t.json"}}),
        ("data", {"data": {"sample": {"test_images": 4}, "test_ann": "t.json", "test_images": "t"}}),
        ("data.augmentation.scale", {"data": {"augmentation": {"scale": [1.5, 1.0]}}}),
        ("data.augmentation.copy_paste.scale", {"data": {"augmentation": {"copy_paste": {"scale": [1.5, 1.0]}}}}),
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


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": NOTHING, "model": {"contour": {}}},
        {"loss": {**NOTHING, "bg_fg": 0.1}},
        {"loss": {"main": 0.0, "boundary": None}, "model": {"head": "plain"}},
        {"loss": NOTHING, "distillation": {"teacher_config": "t"}},
        {"loss": NOTHING, "distillation": {"teacher_config": "t", **NOTHING, "terms": [{"kind": "at"}]}},
        {"loss": NOTHING, "distillation": {"teacher_config": "t", "alpha": 0.0, "alpha_schedule": {"end": 0.5}}},
        {"loss": NOTHING, "distillation": {"teacher_config": "t", "alpha": 0.0, "adaptive_alpha": {}}},
        {"loss": {"boundary": {}}, "model": {"head": "plain"}},
    ],
)
def test_one_head_or_a_teacher_is_enough_to_learn_from(fields: dict[str, Any]) -> None:
    build_config({"name": "one", **fields})


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
    assert "contour" in child.model.optional_heads
    assert parent.training.ema is not None
