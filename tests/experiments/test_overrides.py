"""Precedence, flags, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import MAX_BYTES
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.flags import FLAGS
from human_edge_detection.experiments.named import named_experiments
from human_edge_detection.experiments.overrides import apply, collect, collect_changes, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.data import DataConfig, SampleDataConfig
from human_edge_detection.experiments.schema.decoders import FpnDecoderConfig, UnetDecoderConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, field_names

STUDENT = "quickstart_student_b0"
DISTILLED = "quickstart_distilled_b0_from_b3"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_precedence_is_preset_then_file_then_set_then_flag(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.yaml",
        f"base: {STUDENT}\nname: mine\ntraining:\n  epochs: 3\n  batch_size: 4\n  learning_rate: 1e-3\n",
    )
    config, preset = resolve(
        None,
        collect(
            config_file=file, sets=["training.batch_size=5", "training.accumulation_steps=6"], flags={"--epochs": 9}
        ),
    )
    assert (preset.name, config.name) == (STUDENT, "mine")
    assert config.training.epochs == 9
    assert config.training.batch_size == 5
    assert config.training.accumulation_steps == 6
    assert config.training.learning_rate == 1e-3
    assert config.model == preset.model


def test_json_file_without_base_changes_the_named_experiment(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.json", '{"model": {"contour": {"loss_weight": 0.25}}, "data": {"augmentation": null}}'
    )
    config, _ = resolve(STUDENT, collect(config_file=file))
    assert config.model.optional_heads["contour"].loss_weight == 0.25
    assert config.data.augmentation is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: quickstart_student_b0\ntraining: [\n", r"mine\.yaml, line 3: "),
        ("training:\n  epochs: 1\n  epochs: 2\n", r"line 3: 'epochs' is given twice"),
        ("training: &a {epochs: 1}\nloss: *a\n", r"line 1: anchors are not supported"),
        ("- 1\n", r"expected a mapping"),
        ("training:\n  epoch: 1\n", r"mine\.yaml: unknown field 'training\.epoch' \(did you mean 'epochs'"),
        ("base: 3\n", r"base: expected a name, got 3"),
        ("training:\n  epochs: many\n", r"mine\.yaml, line 2: training\.epochs: .*got 'many'"),
        ("model:\n  image_size: 96x128\n", r"line 2: model\.image_size: .*height and width: \[128, 96\], got '96x128'"),
        ("a: " + "x" * MAX_BYTES, r"larger than"),
        ("[" * 5000, r"mine\.yaml"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(STUDENT, collect(config_file=write(tmp_path / "mine.yaml", text)))


def test_file_that_is_missing_or_of_another_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve(STUDENT, collect(config_file=tmp_path / "nowhere.yaml"))
    with pytest.raises(ConfigError, match="differ; give one"):
        resolve("baseline", collect(config_file=write(tmp_path / "mine.yaml", f"base: {STUDENT}\n")))
    with pytest.raises(ConfigError, match="no 'base:'"):
        resolve(None, collect(config_file=write(tmp_path / "mine.yaml", "training: {epochs: 2}\n")))


def test_set_reads_yaml_values() -> None:
    config, _ = resolve(
        STUDENT,
        collect(
            sets=[
                "model.image_size=[64, 96]",
                "training.learning_rate=1e-3",
                "data.augmentation=null",
                "training.ema={}",
                "model.encoder_weights=none",
                "training.ema.decay=0.5",
            ]
        ),
    )
    assert config.model.image_size == (64, 96)
    assert config.training.learning_rate == 1e-3
    assert config.data.augmentation is None
    assert config.training.ema is not None
    assert config.training.ema.decay == 0.5
    assert config.model.encoder_weights == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.epoch=3", r"unknown field 'training\.epoch' \(did you mean 'epochs'\?\)"),
        ("trainin.epochs=3", r"did you mean 'training'"),
        ("training.epochs.more=3", r"training\.epochs has no fields"),
        ("name=other", r"unknown field 'name'"),
        ("training.epochs", r"expected section\.field=value"),
        ("model.image_size=[1,", r"not YAML"),
        ("training.epochs=yes", r"training\.epochs"),
        ("training=null", r"training"),
    ],
)
def test_bad_set_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(STUDENT, collect(sets=[text]))


def test_every_flag_leads_to_a_field() -> None:
    for flag in FLAGS:
        *above, last = flag.path.split(".")
        assert last in field_names(ExperimentConfig, tuple(above)), flag


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"--batch_size": 0}, r"--batch_size \(training\.batch_size\): .*got 0"),
        ({"--epochs": -1}, r"--epochs \(training\.epochs\): .*got -1"),
        ({"--distillation_alpha": 1.5}, r"--distillation_alpha \(distillation\.alpha\): .*got 1\.5"),
        ({"--distillation_temperature": 0.0}, r"--distillation_temperature \(distillation\.temperature\)"),
        ({"--distillation_temperature": float("nan")}, r"--distillation_temperature"),
        ({"--data_root": "a", "--train_ann": "b"}, r"--data_root and --train_ann"),
        ({"--train_ann": "b"}, r"data: give all of"),
        ({"--data_root": "a", "--drawn_data": True}, r"--data_root and --drawn_data both say where the data is"),
        ({"--val_images": "a", "--drawn_data": True}, r"--val_images and --drawn_data both say"),
    ],
)
def test_a_bad_flag_is_named_with_its_field(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(DISTILLED, collect(flags=flags))


def test_teacher_checkpoint_turns_distillation_on_for_any_experiment() -> None:
    config, _ = resolve("baseline", collect(flags={"--teacher_checkpoint": "t.pth", "--distillation_alpha": 0.5}))
    assert config.distillation is not None
    assert config.distillation.teacher_checkpoint == "t.pth"
    assert (config.distillation.alpha, config.distillation.temperature) == (0.5, 4.0)


@pytest.mark.parametrize(
    ("sets", "flags"),
    [([], {"--distillation_temperature": 2.0}), ([], {"--distillation_alpha": 0.2}), (["distillation.main=1.0"], {})],
)
def test_distillation_settings_without_a_teacher_are_refused(sets: list[str], flags: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="does not distil; give --teacher_checkpoint"):
        resolve("baseline", collect(sets=sets, flags=flags))


def test_a_data_flag_replaces_what_said_where_the_data_is() -> None:
    rooted, _ = resolve(STUDENT, collect(flags={"--data_root": "r"}))
    assert rooted.data.root == "r"
    assert rooted.data.sample is None
    four = {f"--{name}": name for name in ("train_ann", "val_ann", "train_images", "val_images")}
    given, _ = resolve(STUDENT, collect(sets=["data.root=r"], flags=four))
    assert given.data.root is None
    assert given.data.sample is None
    assert given.data.val_images == "val_images"
    for before in (["data.root=r"], [f"data.{name}={name}" for name in ("train_ann", "val_ann")]):
        drawn, _ = resolve("baseline", collect(sets=before, flags={"--drawn_data": True}))
        assert drawn.data == DataConfig(sample=SampleDataConfig())


def test_difference_names_dotted_paths() -> None:
    config, preset = resolve(
        STUDENT, collect(sets=["training.ema={decay: 0.5}", "data.augmentation=null"], flags={"--epochs": 3})
    )
    changed = difference(config, preset)
    assert changed["training.epochs"] == (preset.training.epochs, 3)
    assert changed["training.ema"] == (None, {"decay": 0.5})
    assert changed["data.augmentation"][1] is None
    assert len(changed) == 3
    assert difference(preset, preset) == {}


def test_dependencies_inherit_data_sizes_and_training_only() -> None:
    overrides = collect(
        sets=["model.encoder=resnet18", "distillation.alpha=0.2", "model.pretrained_unet_config=null"],
        flags={"--data_root": "r", "--epochs": 3},
    )
    _, plain = resolve("quickstart_teacher_b3")
    assert [change.path for change in overrides.for_dependency(plain).changes] == ["training.epochs", "data.root"]
    _, pretrained = resolve(
        "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware"
    )
    inherited = [change.path for change in overrides.for_dependency(pretrained).changes]
    assert inherited == ["model.pretrained_unet_config", "training.epochs", "data.root"]


def test_a_python_program_gives_dotted_paths_or_sections_and_data_take_the_place_of_the_presets() -> None:
    config = apply(get_config(STUDENT), collect_changes({"training": {"epochs": 3}, "data.root": Path("people")}))
    assert (config.training.epochs, config.data.root, config.data.sample) == (3, "people", None)
    drawn = apply(config, collect_changes({"data.sample": {"train_images": 4}, "distillation": None}))
    assert drawn.data.sample is not None and drawn.data.sample.train_images == 4


def test_drawn_data_keeps_what_is_said_of_it() -> None:
    drawn, _ = resolve("baseline", collect(sets=["data.sample.train_images=6"], flags={"--drawn_data": True}))
    assert drawn.data.sample is not None
    assert (drawn.data.sample.train_images, drawn.data.sample.val_images) == (6, SampleDataConfig().val_images)


def test_a_file_is_called_a_file_whichever_flag_named_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^config file {tmp_path}/own.yaml: base: expected a name"):
        named_experiments([write(tmp_path / "own.yaml", "base: 3")], collect())


def test_the_kind_of_a_section_decides_which_fields_it_has() -> None:
    """In whatever order they are given; those of the former kind are gone."""
    student, edge = (f"rgb_hierarchical_unet_v2_student_{name}" for name in ("b0", "b0_edge"))
    slim = {"model.decoder.channels": 32, "model.decoder.kind": "fpn", "model.feature_stride": 4}
    config, _ = resolve(student, collect_changes(slim))
    assert config.model.decoder == FpnDecoderConfig(channels=32)
    back = {"model.decoder.kind": "unet", "model.feature_stride": 1, "model.encoder_depth": 5}
    assert resolve(edge, collect_changes(back))[0].model.decoder == UnetDecoderConfig()
    assert resolve(edge, collect_changes({"model.decoder.kind": "fpn"}))[0] == resolve(edge)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.decoder.channels": 32}, "model.decoder.channels: unknown field; known: kind"),
        ({"model.decoder.kind": "fbn"}, "model.decoder: unknown kind 'fbn' (did you mean 'fpn'?); known: unet, fpn"),
        ({"model.decoder.kind": "fpn"}, "has features at stride 2 or 4, got 1; set model.feature_stride=4"),
        ({"model.feature_stride": 3}, "model.feature_stride: input should be 1, 2 or 4, got 3"),
    ],
)
def test_what_a_decoder_cannot_do_is_one_line(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        resolve("rgb_hierarchical_unet_v2_student_b0", collect_changes(changes))
