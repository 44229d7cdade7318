"""The form: every field of an experiment, with its range, its meaning and what the preset has, from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from human_edge_detection.experiments.descriptions import choices_of, meaning_of, one_line, range_of, sections_of
from human_edge_detection.experiments.flags import FLAGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.plain_yaml import parse_value

Input = Literal["choice", "boolean", "number", "text", "yaml"]
_LEFT_OUT: Final = ("name", "description", "schema_version", "training.segments", "training.auto_batch_size")
"""Texts, and what a run writes about itself."""
_HELP: Final = {flag.path: flag.help.replace("%%", "%") for flag in FLAGS}
_WORDS: Final = {flag.path: flag.word for flag in FLAGS if flag.word is not None}
"""That may stand for a number."""
_KIND: Final = "kind"


class Field(NamedTuple):
    """A field of the form.

    Attributes:
        path: Dotted.
        input: How it is entered.
        value: What it is now, as it is entered; empty for null.
        preset: What the preset has there, alike.
        nullable: Whether it may be empty.
        choices: What it may be one of.
        range: Which numbers it takes, in words.
        meaning: What it does.
    """

    path: str
    input: Input
    value: str
    preset: str
    nullable: bool
    choices: tuple[str, ...]
    range: str
    meaning: str


class FormSection(NamedTuple):
    """A section of the form, without those below it, which follow.

    Attributes:
        path: Dotted.
        meaning: What it is.
        optional: Whether it can be turned off.
        on: Whether it is on; one that is off has no fields.
        preset_on: Whether the preset has it on.
        fields: Its own.
    """

    path: str
    meaning: str
    optional: bool
    on: bool
    preset_on: bool
    fields: tuple[Field, ...]


def make_form(fields: Mapping[str, Any], preset: Mapping[str, Any]) -> list[FormSection]:
    """All sections, in the order of the schema.

    Args:
        fields: Plain fields of the experiment as it is now, which may be wrong.
        preset: Those of the preset.
    """
    return [
        found
        for name, info in ExperimentConfig.model_fields.items()
        if name not in _LEFT_OUT
        for found in _sections(name, ExperimentConfig, info, fields.get(name), preset.get(name))
    ]


def yaml_of(path: str, entered: str) -> str:
    """What was entered into the field ``path`` as ``--set`` takes it: YAML."""
    asked = _inputs().get(path)
    if asked is None:
        return entered
    kind, nullable = asked
    if nullable and entered.strip() in ("", "null"):
        return "null"
    return json.dumps(entered, ensure_ascii=False) if kind == "text" and _read(entered) != entered else entered


def entered_as(value: Any) -> str:
    """A plain value as it is entered."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sections(path: str, owner: type[BaseModel], info: FieldInfo, value: Any, preset: Any) -> Iterator[FormSection]:
    kinds = sections_of(info.annotation)
    section = _of_kind(kinds, value)
    on = isinstance(value, Mapping)
    meaning = meaning_of(owner, path.rpartition(".")[2])
    preset_on = isinstance(preset, Mapping)
    if not on:
        yield FormSection(path, meaning, _is_nullable(info), on, preset_on, ())
        return
    before = preset if preset_on else {}
    own: list[Field] = [_kind_field(path, kinds, value, before)] if len(kinds) > 1 else []
    below: list[FormSection] = []
    for name, field in section.model_fields.items():
        dotted = f"{path}.{name}"
        default = _plain_default(field)
        now, then = value.get(name, default), before.get(name, default)
        if sections_of(field.annotation):
            below += _sections(dotted, section, field, now, then)
        elif dotted not in _LEFT_OUT and not (name == _KIND and len(kinds) > 1):
            own.append(_field(dotted, section, name, entered_as(now), entered_as(then)))
    yield FormSection(path, meaning, _is_nullable(info), on, preset_on, tuple(own))
    yield from below


def _of_kind(kinds: tuple[type[BaseModel], ...], value: Any) -> type[BaseModel]:
    """The section that ``value`` says it is; the first where it does not."""
    said = value.get(_KIND) if isinstance(value, Mapping) else None
    return next((kind for kind in kinds if _KIND in kind.model_fields and _kind_of(kind) == said), kinds[0])


def _kind_of(section: type[BaseModel]) -> str:
    return str(section.model_fields[_KIND].default)


def _kind_field(path: str, kinds: tuple[type[BaseModel], ...], value: Any, preset: Mapping[str, Any]) -> Field:
    meaning = "; ".join(f"{_kind_of(kind)}: {one_line(kind.__doc__ or '')}" for kind in kinds)
    names = tuple(map(_kind_of, kinds))
    return Field(
        f"{path}.{_KIND}",
        "choice",
        entered_as(value.get(_KIND)),
        entered_as(preset.get(_KIND)),
        nullable=False,
        choices=names,
        range="",
        meaning=meaning,
    )


def _field(path: str, section: type[BaseModel], name: str, value: str, preset: str) -> Field:
    info = section.model_fields[name]
    return Field(
        path,
        _input_of(info),
        value,
        preset,
        _is_nullable(info),
        tuple(map(str, choices_of(info.annotation))),
        ", or ".join(filter(None, (range_of(info), _WORDS.get(path)))),
        meaning_of(section, name) or _HELP.get(path, ""),
    )


@cache
def _inputs() -> Mapping[str, tuple[Input, bool]]:
    """Path of each field -> how it is entered, and whether it may be empty."""
    return dict(_inputs_below("", ExperimentConfig))


def _inputs_below(path: str, section: type[BaseModel]) -> Iterator[tuple[str, tuple[Input, bool]]]:
    for name, info in section.model_fields.items():
        below = sections_of(info.annotation)
        if not below:
            yield f"{path}{name}", (_input_of(info), _is_nullable(info))
        for kind in below:
            yield from _inputs_below(f"{path}{name}.", kind)


def _input_of(info: FieldInfo) -> Input:
    if choices_of(info.annotation):
        return "choice"
    kinds = {*(get_args(info.annotation) or (info.annotation,))} - {NoneType}
    if kinds <= {int, float}:
        return "number"
    if kinds == {bool}:
        return "boolean"
    return "text" if kinds == {str} else "yaml"


def _is_nullable(info: FieldInfo) -> bool:
    return NoneType in get_args(info.annotation)


def _plain_default(info: FieldInfo) -> Any:
    default = info.get_default()
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json")
    if isinstance(default, tuple):
        return [one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in default]
    return default


def _read(text: str) -> Any:
    """``text`` as YAML reads it; None when it cannot."""
    try:
        return parse_value(text)
    except yaml.YAMLError:
        return None
