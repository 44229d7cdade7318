"""What the page asks for: an experiment and its changes, as the words that a user would type behind ``hed run``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.flags import FLAGS, Flag
from human_edge_detection.experiments.overrides import Overrides, apply, changed_fields, collect, parse_change
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.ui.form import FormSection, make_form, yaml_of

_FLAG_OF: Final[Mapping[str, Flag]] = {flag.path: flag for flag in FLAGS}
_TYPES: Final[Mapping[type, tuple[type, ...]]] = {int: (int,), float: (int, float), str: (str,)}
_DEFAULT_FOLDER: Final = Path("experiments")
_Text = Annotated[str, Field(max_length=10_000)]


class StartRequest(BaseModel):
    """A batch that is asked for.

    Attributes:
        experiment: That the form is of.
        also: Experiments or groups that are trained beside it.
        changes: Dotted path to what was entered there.
        seeds: One run of each experiment for each; none: one, with the seed of its config.
        export_onnx: Whether finished runs are exported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    experiment: _Text
    also: tuple[_Text, ...] = ()
    changes: dict[_Text, _Text] = Field(default_factory=dict, max_length=500)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = ()
    export_onnx: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of all experiments and groups."""
        return (self.experiment, *self.also)


class Judgement(NamedTuple):
    """What is to be said of a request.

    Attributes:
        form: All sections, as the changes make them.
        error: What is wrong, in a line; None: nothing that the schema knows.
        wrong: Paths of the fields that ``error`` names.
        differences: Path, value of the preset, value now; empty when something is wrong.
        words: What stands behind ``hed run``.
    """

    form: list[FormSection]
    error: str | None
    wrong: list[str]
    differences: list[tuple[str, str, str]]
    words: list[str]


class _Given(NamedTuple):
    """The changes as the command line takes them, and what is wrong with those that it does not."""

    sets: list[str]
    flags: dict[str, Any]
    problems: list[str]

    @property
    def chosen_later(self) -> list[Flag]:
        """Flags with a word for a number that the batch chooses for the machine."""
        return [flag for flag in FLAGS if flag.word is not None and self.flags.get(flag.name) == flag.word]

    @property
    def overrides(self) -> Overrides:
        """Without what is chosen later."""
        return collect(sets=self.sets, flags=self.flags).without(*(flag.path for flag in self.chosen_later))

    @property
    def words(self) -> list[str]:
        """As they are typed."""
        typed = [word for name, value in self.flags.items() for word in _typed(name, value)]
        return typed + [word for text in self.sets for word in ("--set", text)]


def judge(request: StartRequest, output_dir: Path) -> Judgement:
    """What ``request`` makes of its experiment, checked by the schema alone: no file is looked at.

    Raises:
        ConfigError: There is no such experiment.
    """
    preset = get_config(request.experiment)
    given = _given(request)
    problems, differences = list(given.problems), []
    fields = preset.model_dump(mode="json")
    try:
        fields = changed_fields(preset, given.overrides)
        config = apply(preset, given.overrides)
        expand(request.also)
        differences = [
            (path, json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False))
            for path, (old, new) in difference(config, preset).items()
        ]
        differences += [(flag.path, "", str(flag.word)) for flag in given.chosen_later]
    except ConfigError as error:
        problems.append(str(error))
    form = make_form(fields, preset.model_dump(mode="json"))
    said = "; ".join(problems) or None
    paths = [path for section in form for path in (section.path, *(field.path for field in section.fields))]
    wrong = [] if said is None else [path for path in paths if _names(said, path)]
    return Judgement(form, said, wrong, [] if said else differences, words_of(request, output_dir))


def overrides_of(request: StartRequest) -> Overrides:
    """The changes, as the command line reads them, without what the batch chooses for the machine.

    Raises:
        ConfigError: One of them cannot be read.
    """
    given = _given(request)
    if given.problems:
        raise ConfigError("; ".join(given.problems))
    return given.overrides


def words_of(request: StartRequest, output_dir: Path) -> list[str]:
    """What a user would type behind ``hed run``."""
    words = ["--configs", *request.names, *_given(request).words]
    if request.seeds:
        words += ["--seeds", *map(str, request.seeds)]
    if request.export_onnx:
        words.append("--export_onnx")
    return words if output_dir == _DEFAULT_FOLDER else [*words, *_typed("--output_dir", output_dir)]


def _given(request: StartRequest) -> _Given:
    """Fields with a flag of their own by that: it does more than ``--set`` where it says where the data is."""
    given = _Given([], {}, [])
    for path in sorted(request.changes, key=lambda path: path.count(".")):  # a section before its fields
        text = yaml_of(path, request.changes[path])
        try:
            value = parse_change(f"{path}={text}", "--set").value
        except ConfigError as error:
            given.problems.append(str(error))
            continue
        flag = _FLAG_OF.get(path)
        if flag is not None and _fits(flag, value):
            given.flags[flag.name] = True if flag.kind is bool else value
        else:
            given.sets.append(f"{path}={text}")
    return given


def _fits(flag: Flag, value: Any) -> bool:
    """Whether ``flag`` can say ``value``."""
    if flag.kind is bool:
        return bool(value == flag.value and type(value) is type(flag.value))
    if flag.word is not None and value == flag.word:
        return True
    return type(value) in _TYPES[flag.kind] and (not flag.choices or value in flag.choices)


def _typed(name: str, value: Any) -> Iterable[str]:
    if value is True:
        return (name,)
    return (f"{name}={value}",) if str(value).startswith("-") else (name, str(value))


def _names(message: str, path: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(path)}(?!\w|\.\w)", message) is not None
