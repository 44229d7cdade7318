"""The words for distillation that users were taught, in a config file and with --set."""

from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import Overrides, apply, collect, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

STUDENT = "rgb_hierarchical_unet_v2_student_b0"
DISTILLED = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
TAUGHT = """\
distillation:
  enabled: True
  teacher_checkpoint: path/to/teacher.pth
  temperature: 3.0
  alpha: 0.6
  distill_logits: True
  freeze_teacher: True
  student_encoder: "timm-efficientnet-b1"
  teacher_encoder: "timm-efficientnet-b3"
  teacher_architecture: hierarchical_unet
"""


def from_file(folder: Path, text: str, *sets: str, **flags: object) -> Overrides:
    path = folder / "mine.yaml"
    path.write_text(text)
    return collect(config_file=path, sets=sets, flags={f"--{name}": value for name, value in flags.items()})


def same_by_set(text: str) -> Overrides:
    """The section ``distillation`` of ``text`` as flags."""
    fields = [line.strip().split(": ", maxsplit=1) for line in text.splitlines()[1:]]
    return collect(sets=[f"distillation.{name}={value}" for name, value in fields])


@pytest.mark.parametrize("base", ["baseline", DISTILLED])
def test_what_was_taught_works_as_written_and_is_stored_canonically(base: str, tmp_path: Path) -> None:
    config, preset = resolve(base, from_file(tmp_path, TAUGHT))
    canonical = collect(
        sets=["model.encoder=timm-efficientnet-b1"],
        flags={
            "--teacher_checkpoint": "path/to/teacher.pth",
            "--distillation_temperature": 3.0,
            "--distillation_alpha": 0.6,
        },
    )
    assert config == apply(preset, canonical)
    assert config == apply(preset, same_by_set(TAUGHT))
    assert ExperimentConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("base", [STUDENT, DISTILLED])
def test_disabled_is_no_distillation_whatever_else_the_file_says(base: str, tmp_path: Path) -> None:
    text = TAUGHT.replace("enabled: True", "enabled: False")
    config, _ = resolve(base, from_file(tmp_path, text))
    assert config.distillation is None
    assert config.model.encoder == "timm-efficientnet-b1"
    assert apply(get_config(base), collect(sets=["distillation.enabled=false"])) == apply(
        get_config(base), collect(sets=["distillation=null"])
    )


def test_a_later_source_turns_it_on_again_with_what_the_file_says(tmp_path: Path) -> None:
    text = TAUGHT.replace("enabled: True", "enabled: False")
    for overrides in (
        from_file(tmp_path, text, "distillation.enabled=true"),
        from_file(tmp_path, text, teacher_checkpoint="path/to/teacher.pth"),
    ):
        assert resolve(STUDENT, overrides)[0] == resolve(STUDENT, from_file(tmp_path, TAUGHT))[0]


@pytest.mark.parametrize(
    ("text", "sets", "flags", "words"),
    [
        ("{enabled: True}", (), {}, r"mine\.yaml \(distillation\.enabled\): .* does not distil; give --teacher_check"),
        ("{enabled: False}", (), {"distillation_alpha": 0.3}, r"--distillation_alpha \(distillation\.alpha\): .*mine"),
        (
            "{}",
            ("distillation.enabled=false", "distillation.alpha=0.3"),
            {},
            r"--set \(distillation\.alpha\): --set tu",
        ),
        ("{enabled: 1}", (), {}, r"mine\.yaml: distillation\.enabled: expected true or false, got 1"),
        ("{freeze_teacher: False}", (), {}, r"distillation\.freeze_teacher: false is not possible: a teacher that"),
        ("{}", ("distillation.freeze_teacher=false",), {}, r"--set: distillation\.freeze_teacher: false is not pos"),
        ("{}", ("distillation.distill_logits=no",), {}, r"does not distil"),
        ("{student_encoder: vgg, teacher_checkpoint: a}", (), {}, r"model\.encoder: .*'vgg'"),
        ("{student_encodr: vgg}", (), {}, r"unknown field 'distillation\.student_encodr'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    text: str, sets: tuple[str, ...], flags: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        resolve(
            STUDENT, from_file(tmp_path, f"distillation: {text}\n" if text != "{}" else "model: {}\n", *sets, **flags)
        )
    assert "\n" not in str(caught.value)


def test_two_names_for_the_encoder_that_differ_are_refused(tmp_path: Path) -> None:
    text = "model: {encoder: resnet18}\ndistillation: {enabled: no, student_encoder: %s}\n"
    assert resolve(STUDENT, from_file(tmp_path, text % "resnet18"))[0].model.encoder == "resnet18"
    with pytest.raises(ConfigError, match=r"distillation\.student_encoder: 'resnet34', and model\.encoder"):
        resolve(STUDENT, from_file(tmp_path, text % "resnet34"))
    overridden = from_file(tmp_path, TAUGHT, "model.encoder=resnet34")
    assert resolve(STUDENT, overridden)[0].model.encoder == "resnet34"


def test_without_logits_the_terms_of_features_are_left(tmp_path: Path) -> None:
    without = collect(sets=["distillation.distill_logits=false"])
    config = apply(get_config(f"{DISTILLED}_feat"), without)
    assert config.distillation is not None
    assert [(term.kind, term.weight) for term in config.distillation.terms] == [("feat", 0.1)]
    with pytest.raises(ConfigError, match=r"--set: distillation\.distill_logits: false leaves nothing .*kind: feat"):
        apply(get_config(DISTILLED), without)
    both = from_file(tmp_path, "distillation: {distill_logits: true, terms: [{kind: at}]}\n")
    with pytest.raises(ConfigError, match=r"distill_logits: true, and distillation\.terms has none of logits"):
        resolve(DISTILLED, both)


def test_they_are_no_fields_to_sweep() -> None:
    from human_edge_detection.runner.sweep.search_space import parse_axes

    with pytest.raises(ConfigError, match=r"--sweep: unknown field 'distillation\.enabled'"):
        parse_axes(["distillation.enabled=true,false"], collect(), searched=False)
