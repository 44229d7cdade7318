"""The form: all fields are in it, with what they take, and what is entered becomes what ``--set`` takes."""

import pytest

from human_edge_detection.experiments.registry import get_config, list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.ui.form import Field, FormSection, make_form, yaml_of

PRESET = get_config("quickstart_distilled_b0_from_b3").model_dump(mode="json")


def fields_of(form: list[FormSection]) -> dict[str, Field]:
    return {field.path: field for section in form for field in section.fields}


def test_every_field_of_a_config_is_in_the_form() -> None:
    for config in list_configs()[::6]:
        plain = config.model_dump(mode="json")
        form = make_form(plain, plain)
        shown = {*fields_of(form), *(section.path for section in form)}
        left_out = {"name", "description", "schema_version", "training.segments", "training.auto_batch_size"}
        for section in ("data", "model", "loss", "training"):
            expected = {f"{section}.{name}" for name in plain[section]} - left_out
            assert expected <= shown, config.name


def test_a_field_says_what_it_takes_what_it_means_and_what_the_preset_has() -> None:
    changed = PRESET | {"training": PRESET["training"] | {"learning_rate": 0.5}}
    fields = fields_of(make_form(changed, PRESET))
    rate = fields["training.learning_rate"]
    assert (rate.input, rate.value, rate.preset, rate.range) == ("number", "0.5", "0.002", "above 0, at most 10")
    assert "null" in fields["training.gradient_clip"].meaning
    assert fields["training.gradient_clip"].nullable
    assert not rate.nullable
    assert fields["training.precision"].choices == ("auto", "fp32", "bf16", "fp16")
    assert fields["training.batch_size"].range == "at least 1, at most 4096, or auto"
    assert fields["model.image_size"].value == "[96, 96]"
    assert fields["training.deterministic"].input == "boolean"


def test_a_section_that_is_off_has_no_fields_until_it_is_on() -> None:
    off = next(section for section in make_form(PRESET, PRESET) if section.path == "training.ema")
    assert (off.optional, off.on, off.preset_on, off.fields) == (True, False, False, ())
    on = PRESET | {"training": PRESET["training"] | {"ema": {}}}
    decay = fields_of(make_form(on, PRESET))["training.ema.decay"]
    assert (decay.value, decay.preset) == ("0.999", "0.999")


def test_a_section_of_another_kind_has_the_fields_of_that() -> None:
    fields = fields_of(make_form(PRESET | {"model": PRESET["model"] | {"decoder": {"kind": "fpn"}}}, PRESET))
    assert fields["model.decoder.kind"].choices == ("unet", "fpn")
    assert (fields["model.decoder.kind"].value, fields["model.decoder.kind"].preset) == ("fpn", "unet")
    assert fields["model.decoder.channels"].value == "64"
    assert "model.decoder.channels" not in fields_of(make_form(PRESET, PRESET))


@pytest.mark.parametrize(
    ("path", "entered", "given"),
    [
        ("training.epochs", "7", "7"),
        ("training.gradient_clip", "", "null"),
        ("data.root", "my people", "my people"),
        ("data.root", "2024", '"2024"'),
        ("data.root", "a: b", '"a: b"'),
        ("data.root", " ", "null"),
        ("model.encoder_weights", "none", "none"),
        ("model.image_size", "[64, 96]", "[64, 96]"),
        ("training.ema", "{}", "{}"),
    ],
)
def test_what_is_entered_is_given_as_yaml(path: str, entered: str, given: str) -> None:
    assert yaml_of(path, entered) == given


def test_values_that_are_wrong_do_not_break_the_form() -> None:
    wrong = PRESET | {"training": PRESET["training"] | {"epochs": [1, {"a": None}], "ema": 3}}
    assert fields_of(make_form(wrong, PRESET))["training.epochs"].value == '[1, {"a": null}]'
    assert ExperimentConfig.model_fields.keys() >= {section.path for section in make_form({}, PRESET)}
