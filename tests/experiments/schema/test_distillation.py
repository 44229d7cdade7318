"""The distillation section: terms by kind, their messages, teachers, and runs made before there were terms."""

from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_manager import get_config, list_configs
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.schema.distillation import KlConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.runs.checks import check_weight_paths

PRESET = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
FIELDS_BEFORE_TERMS = {
    "teacher_config": None,
    "teacher_checkpoint": "teacher.pth",
    "temperature": 4.0,
    "alpha": 0.7,
    "main": 1.0,
    "bg_fg": 0.3,
    "target_nontarget": 0.3,
    "full_image": 0.3,
}


def set_terms(value: str, *more: str) -> ExperimentConfig:
    return resolve(PRESET, collect(sets=[f"distillation.terms={value}", *more]))[0]


def test_terms_are_given_as_a_list_of_sections() -> None:
    section = set_terms("[{kind: dkd, weight: 1.0}, {kind: bpkd, heads: [main], width: 3}]").distillation
    assert section is not None
    decoupled, boundary = (term.model_dump() for term in section.terms)
    expected: dict[str, Any] = {"kind": "dkd", "weight": 1.0, "heads": None}
    assert decoupled == expected | {"target_weight": 1.0, "nontarget_weight": 8.0}
    expected = {"kind": "bpkd", "weight": 1.0, "heads": ("main",)}
    assert boundary == expected | {"edge_weight": 0.5, "body_weight": 0.5, "width": 3}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[{kind: dkk}]", "distillation.terms.0: unknown kind 'dkk' (did you mean 'dkd'?); known: kl, dkd, dist, cwd"),
        ("[kl]", "distillation.terms.0: expected {kind: KIND}, got 'kl'; known: kl, dkd"),
        ("[{kind: kl}, {weight: 1}]", "distillation.terms.1: no kind, got {'weight': 1}; known: kl, dkd"),
        ("[{kind: dkd, nontarget: 1}]", "distillation.terms.0.nontarget: unknown field (did you mean 'nontarget_weig"),
        ("[{kind: cwd, width: 1}]", "distillation.terms.0.width: unknown field"),
        ("[{kind: dkd, weight: 0}]", "distillation.terms.0.weight: input should be greater than 0, got 0"),
        ("[{kind: kl, heads: [bgfg]}]", "distillation.terms.0.heads.0: input should be 'main', 'bg_fg'"),
        ("[{kind: kl, heads: []}]", "distillation.terms.0.heads: none; give one or more of main, bg_fg"),
        ("[{kind: std, heads: [bg_fg]}]", "distillation.terms.0.heads.0: input should be 'main'"),
        ("[{kind: kl}, {kind: kl, heads: [main]}]", "distillation.terms.1: 'kl' is there twice for main"),
        ("[{kind: at}, {kind: at}]", "distillation.terms.1: 'at' is there twice for features"),
        ("[]", "distillation.terms: none; give one or more"),
        ("kl", "distillation.terms: input should be a valid array, got 'kl'"),
        ("[3]", "distillation.terms.0: expected {kind: KIND}, got 3; known: kl, dkd"),
    ],
)
def test_a_bad_term_names_its_path_and_what_there_is(value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_terms(value)
    assert f"{PRESET}: {words}" in str(caught.value)
    assert "; distillation" not in str(caught.value), "one problem, one message"


def test_a_threshold_of_confidence_is_for_logits() -> None:
    threshold = "distillation.confidence_threshold=0.8"
    section = set_terms("[{kind: kl}, {kind: feat}]", threshold).distillation
    assert section is not None
    assert section.confidence_threshold == 0.8
    with pytest.raises(ConfigError, match="confidence_threshold: features have no confidence"):
        set_terms("[{kind: feat}, {kind: at}]", threshold)
    with pytest.raises(ConfigError, match="confidence_threshold: input should be less than 1"):
        set_terms("[{kind: kl}]", "distillation.confidence_threshold=1")


@pytest.mark.parametrize(
    ("threshold", "sets", "words"),
    [
        ("0.05", (), "0.05 has no effect, as the likeliest of 3 classes .* 1/3; give a value above 0.333, such as 0.8"),
        ("0.5", ("distillation.main=0",), "0.5 has no effect, as the likeliest of 2 classes .* give a value above 0.5"),
        ("0.5", ("distillation.terms=[{kind: kl, heads: [full_image]}]",), "the likeliest of 2 classes"),
        ("0.34", (), None),
        ("0.51", ("distillation.main=0",), None),
    ],
)
def test_a_threshold_that_no_pixel_is_under_is_refused(
    threshold: str, sets: tuple[str, ...], words: str | None
) -> None:
    by_set = collect(sets=[f"distillation.confidence_threshold={threshold}", *sets])
    by_flag = collect(sets=sets, flags={"--confidence_threshold": float(threshold)})
    for overrides in (by_set, by_flag):
        if words is None:
            resolve(PRESET, overrides)
        else:
            with pytest.raises(ConfigError, match=rf"distillation.confidence_threshold\)?: .*{words}"):
                resolve(PRESET, overrides)


def test_a_schedule_of_temperature_is_for_logits() -> None:
    schedule = "distillation.temperature_schedule={end: 2.0}"
    set_terms("[{kind: at}, {kind: kl, heads: [main]}]", schedule)
    with pytest.raises(ConfigError, match="temperature_schedule: features have no temperature; use null, or add"):
        set_terms("[{kind: feat}, {kind: at}]", schedule)


@pytest.mark.parametrize(
    ("terms", "sets", "unused"),
    [
        ("[{kind: at}]", ("distillation.temperature=2", "distillation.main=0.5"), ["main", "temperature"]),
        ("[{kind: at}]", ("distillation.main=0",), []),
        ("[{kind: at}, {kind: kl}]", ("distillation.temperature=2", "distillation.main=0.5"), []),
        ("[{kind: kl, heads: [main]}]", ("distillation.bg_fg=1",), ["bg_fg"]),
        ("[{kind: kl}]", ("distillation.alpha=0.4", "distillation.adaptive_alpha={}"), ["alpha"]),
    ],
)
def test_plain_values_without_effect_are_named_and_no_error(
    terms: str, sets: tuple[str, ...], unused: list[str]
) -> None:
    section = set_terms(terms, *sets).distillation
    assert section is not None
    assert list(section.unused) == unused


def test_no_preset_has_a_value_without_effect() -> None:
    assert not [
        config.name for config in list_configs() if config.distillation is not None and list(config.distillation.unused)
    ]


def test_no_path_leads_into_the_list() -> None:
    with pytest.raises(ConfigError, match=r"'distillation.terms.weight'; distillation.terms has no fields"):
        resolve(PRESET, collect(sets=["distillation.terms.weight=1"]))


def test_the_same_kind_for_different_heads_is_fine() -> None:
    section = set_terms("[{kind: kl, heads: [main]}, {kind: kl, heads: [bg_fg], weight: 2}]").distillation
    assert section is not None
    assert len(section.terms) == 2


def test_a_term_of_a_head_without_weight_would_do_nothing() -> None:
    with pytest.raises(ConfigError, match=r"distillation.terms.0: distillation.bg_fg is 0, so 'kl' would do nothing"):
        set_terms("[{kind: kl, heads: [bg_fg]}]", "distillation.bg_fg=0")


def test_a_term_of_heads_that_the_student_lacks_would_do_nothing() -> None:
    set_terms("[{kind: kl, heads: [main, bg_fg]}]", "model.head=plain")
    with pytest.raises(ConfigError, match=r"terms.0: the model has no bg_fg nor target_nontarget, so 'kl' would do"):
        set_terms("[{kind: kl, heads: [bg_fg, target_nontarget]}]", "model.head=plain")


def test_answers_about_images_have_views_that_are_affine() -> None:
    with pytest.raises(ConfigError, match=r"data\.augmentation\.pipeline: its views are no affine maps .*model\.onnx"):
        set_terms("[{kind: kl}]", "distillation.teacher_checkpoint=model.onnx", "data.augmentation.pipeline=a.yaml")


def test_features_have_one_teacher() -> None:
    with pytest.raises(ConfigError, match=r"distillation.terms.1: 'feat' needs one teacher"):
        set_terms("[{kind: kl}, {kind: feat}]", "distillation.more_teacher_checkpoints=[a.pth]")
    with pytest.raises(ConfigError, match="features have no mean with those of mirror images"):
        set_terms("[{kind: kl}, {kind: feat}]", "distillation.flip_averaging=true")


PERSON_MAP = ("external.kind=person_map", "external.output.values=logits")


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("external.kind=person_map",), r"distillation\.external\.output: values is missing"),
        (
            (*PERSON_MAP, "external.output.person_clas=1"),
            r"external\.output: unknown field .*did you mean 'person_class'",
        ),
        (("external.kind=map",), r"distillation\.external\.kind: expected one of 'person_map'"),
        (("external=3",), r"distillation\.external: input should be an object, got 3"),
        ((*PERSON_MAP, "terms=[{kind: feat}]"), r"terms\.0: 'feat' needs .* which a\.onnx lacks"),
        ((*PERSON_MAP, "adaptive_alpha={}"), r"distillation\.adaptive_alpha: follows .* a\.onnx is a model file"),
        ((*PERSON_MAP, "more_teacher_checkpoints=[b.tflite]"), r"checkpoints: one model file teaches"),
    ],
)
def test_a_model_file_that_cannot_teach_is_refused_with_the_path_of_the_field(
    sets: tuple[str, ...], words: str
) -> None:
    changes = [f"distillation.{one}" for one in ("teacher_checkpoint=a.onnx", *sets)]
    with pytest.raises(ConfigError, match=words) as raised:
        resolve(PRESET, collect(sets=changes))
    assert "\n" not in str(raised.value)


def test_a_model_file_is_described_field_by_field_or_at_once() -> None:
    described = {"kind": "person_map", "output": {"values": "logits"}}
    once = "external={kind: person_map, output: {values: logits}}"
    for sets in (PERSON_MAP, (once,)):
        section = resolve(
            PRESET, collect(sets=[f"distillation.{one}" for one in ("teacher_checkpoint=a.onnx", *sets)])
        )[0].distillation
        assert section is not None
        assert section.external == described
        assert not list(section.unused)
    without = set_terms("[{kind: kl}]", f"distillation.{once}").distillation
    assert without is not None
    assert list(without.unused) == ["external"]


def test_checkpoints_come_before_a_model_file() -> None:
    fields = {"teacher_checkpoint": "a.onnx", "more_teacher_checkpoints": ["b.pth", "c.pth"]}
    section = build_config({"name": "one", "data": {"sample": {}}, "distillation": fields}).distillation
    assert section is not None
    assert [str(path) for path in section.teacher_paths] == ["b.pth", "c.pth", "a.onnx"]
    assert str(section.external_teacher) == "a.onnx"


@pytest.mark.parametrize("change", ["teacher_checkpoint=imagenet", "more_teacher_checkpoints=[imagenet]"])
def test_imagenet_is_no_teacher(change: str) -> None:
    with pytest.raises(ConfigError, match=r"'imagenet' is weights of an encoder; decoder and heads would be untrained"):
        resolve(PRESET, collect(sets=[f"distillation.{change}"]))


def test_imagenet_is_refused_by_the_name_of_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"--teacher_checkpoint \(distillation.teacher_checkpoint\): 'imagenet'"):
        resolve(PRESET, collect(flags={"--teacher_checkpoint": "imagenet"}))


def test_a_missing_further_teacher_is_named(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.pth"
    teacher.touch()
    fields = {"teacher_checkpoint": str(teacher), "more_teacher_checkpoints": [str(teacher), "nowhere.pth"]}
    config = build_config({"name": "one", "data": {"sample": {}}, "distillation": fields})
    with pytest.raises(ConfigError, match=r"distillation.more_teacher_checkpoints: no such file: nowhere.pth"):
        check_weight_paths(config, tmp_path)


def test_a_config_from_before_there_were_terms_means_plain_kl() -> None:
    config = build_config({"name": "one", "distillation": FIELDS_BEFORE_TERMS})
    assert config.distillation is not None
    assert config.distillation.terms == (KlConfig(),)
    assert config.distillation.more_teacher_checkpoints == ()


def test_every_method_and_every_pair_has_a_preset() -> None:
    names = {config.name for config in list_configs()}
    assert {f"{PRESET}_{method}" for method in ("dkd", "dist", "cwd", "std", "bpkd", "feat", "at")} <= names
    pairs = ("b0_from_b0", "b0_from_b3", "b0_from_b4", "b0_from_b7", "b1_from_b1", "b1_from_b3", "b1_from_b7")
    assert {f"rgb_hierarchical_unet_v2_distillation_{pair}" for pair in pairs} <= names
    itself = get_config("rgb_hierarchical_unet_v2_distillation_b0_from_b0").distillation
    assert itself is not None
    assert itself.teacher_config == "rgb_hierarchical_unet_v2_student_b0"
