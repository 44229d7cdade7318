"""From what a user gives to a resolved config: preset < ``--config_file`` < ``--set a.b=c`` < dedicated flag.

Every source becomes :class:`Change` s, a dotted path and its value, which are laid over the preset in that order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.change import CONFIG_FILE, NAMES_TEACHER, PYTHON_ARGUMENT
from human_edge_detection.experiments.change import Change as Change
from human_edge_detection.experiments.config_file import line_of_field, read_config_file
from human_edge_detection.experiments.flags import FLAGS
from human_edge_detection.experiments.older_words import OLDER_WORDS, check_older_words, select_terms, translate
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, field_names, is_mapping
from human_edge_detection.files.plain_yaml import parse_value, problem_of

_FOUR_PATHS = ("data.train_ann", "data.val_ann", "data.train_images", "data.val_images")
_DATA_PLACES = (("data.root",), _FOUR_PATHS, ("data.sample",))
"""Ways to say where the data is, of which a config has one."""
_REPLACES = {
    path: tuple(other for others in _DATA_PLACES if others is not place for other in others)
    for place in _DATA_PLACES
    for path in place
}
"""A data flag, or argument, says where the data is, so it clears what said so before."""
PRETRAINED_FIELDS = ("model.pretrained_unet", "model.pretrained_unet_config", "model.freeze_unet_epochs")
_FOR_DEPENDENCIES = (
    "data",
    "training",
    "loss.class_weights",
    "model.image_size",
    "model.roi_size",
    "model.mask_size",
    "model.encoder_weights",
    *PRETRAINED_FIELDS,
)
"""What holds for a teacher or a pre-training too when it is given for the run that needs it: data, sizes, training."""
_SHOWN = 100
"""Characters of a ``--set`` in a message."""
_FIXED = ("name", "description", "schema_version")
_WRITTEN = "training.segments"
"""What a run writes about itself; not to be set."""


@dataclass(frozen=True)
class Overrides:
    """Everything that a command line changes, in order of precedence.

    Attributes:
        changes: Later ones win.
        base: Experiment that a ``--config_file`` is based on; None: the file or command names none.
        name: Own name of the ``--config_file``'s experiment.
        file: The ``--config_file``.
    """

    changes: tuple[Change, ...] = ()
    base: str | None = None
    name: str | None = None
    file: Path | None = None

    def keep(self, changes: Iterable[Change]) -> Overrides:
        """The same with these changes instead."""
        return replace(self, changes=tuple(changes))

    def without(self, *paths: str) -> Overrides:
        """The same without changes of these fields, or of fields below them."""
        return self.keep(change for change in self.changes if not change.is_below(paths))

    def for_dependency(self, preset: ExperimentConfig) -> Overrides:
        """What holds for ``preset`` too when a run with these overrides needs it trained first."""
        held = Overrides(tuple(change for change in self.changes if change.is_below(_FOR_DEPENDENCIES)))
        # A teacher has no teacher whose answers could be stored, or who could speak about images without labels.
        held = held.without("data.cache_views", "data.unlabelled")
        return held if has_pretraining(preset) else held.without(*PRETRAINED_FIELDS)


NO_OVERRIDES = Overrides()


def has_pretraining(preset: ExperimentConfig) -> bool:
    """Whether the U-Net of ``preset`` starts from another experiment's or from a checkpoint."""
    return preset.model.pretrained_unet_config is not None or preset.model.pretrained_unet is not None


def touched(overrides: Overrides, *paths: str) -> list[Change]:
    """The changes of these fields, or of fields below them."""
    return [change for change in overrides.changes if change.is_below(paths)]


def collect(*, config_file: Path | None = None, sets: Sequence[str] = (), flags: Mapping[str, Any] = {}) -> Overrides:
    """The overrides of a command line.

    Args:
        config_file: YAML or JSON with ``base:`` naming an experiment, an optional ``name:``, and sections.
        sets: ``section.field=value`` each.
        flags: Flag name (``--epochs``) to value; None is a flag not given.

    Raises:
        ConfigError: The file cannot be used, or a path is unknown.
    """
    fields = {} if config_file is None else read_config_file(config_file)
    base, name = fields.pop("base", None), fields.pop("name", None)
    for key, value in (("base", base), ("name", name)):
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{CONFIG_FILE} {config_file}: {key}: expected a name, got {value!r}")
    from_file = [Change(path, value, f"{CONFIG_FILE} {config_file}") for path, value in _leaves(fields)]
    for change in from_file:
        _check_path(change, older_words=True)
    from_sets = [parse_change(text, "--set", older_words=True) for text in sets]
    for source in (from_file, from_sets):
        check_older_words(source)
    from_flags = [
        Change(flag.path, flag.value if flags[flag.name] is True else flags[flag.name], flag.name)
        for flag in FLAGS
        if flags.get(flag.name) is not None
    ]
    _check_one_place(from_flags)
    return Overrides((*from_file, *from_sets, *from_flags), base, name, config_file)


def collect_changes(fields: Mapping[str, Any]) -> Overrides:
    """The overrides of a Python program.

    Args:
        fields: Dotted path of a field or section (``training.epochs``) to a plain value or a path; sections may also
            be nested mappings. None turns an optional section off, ``{}`` turns it on.

    Raises:
        ConfigError: A path is unknown, or two entries say where the data are.
    """
    plain = {path: os.fspath(value) if isinstance(value, Path) else value for path, value in _leaves(fields)}
    changes = [Change(path, value, f"{PYTHON_ARGUMENT}[{path!r}]") for path, value in plain.items()]
    for change in changes:
        _check_path(change, older_words=True)
    check_older_words(changes)
    _check_one_place(changes)
    return Overrides(tuple(changes))


def apply(preset: ExperimentConfig, overrides: Overrides) -> ExperimentConfig:
    """``preset`` with the changes laid over.

    Raises:
        ConfigError: Naming every problem with the flag that caused it and the field.
    """
    fields = changed_fields(preset, overrides)
    try:
        return build_config(fields, source=preset.name)
    except ConfigError as error:
        raise ConfigError(_name_flags(str(error), overrides.changes, overrides.file)) from error


def changed_fields(preset: ExperimentConfig, overrides: Overrides) -> dict[str, Any]:
    """The plain fields of ``preset`` with the changes laid over, which nobody has checked yet.

    Raises:
        ConfigError: A change of distillation, and ``preset`` has no teacher.
    """
    fields = preset.model_dump(mode="json")
    if overrides.name is not None:
        fields |= {"name": overrides.name, "description": ""}
    changes = translate(overrides.changes)
    turned_off = any(change.path == "distillation" and change.value is None for change in changes)
    if not turned_off:
        _check_distils(preset, overrides)
    for change in sorted(changes, key=lambda change: not change.path.endswith(_KIND)):
        if change.source in _FLAG_NAMES or change.from_python:
            for path in next((others for place, others in _REPLACES.items() if change.is_below([place])), ()):
                _set(fields, path, None)
        if change.source in _FLAG_NAMES and change.value == {} and _is_on(fields, change.path):
            continue  # the flag turns on what has been given its own values
        _set(fields, change.path, change.value)
    select_terms(fields, overrides.changes)
    return fields


def resolve(name: str | None, overrides: Overrides = NO_OVERRIDES) -> tuple[ExperimentConfig, ExperimentConfig]:
    """The config of one experiment with the changes laid over, and the preset that it started from.

    Args:
        name: The experiment; None when the ``--config_file`` names its base.
        overrides: What changes it.

    Raises:
        ConfigError: Anything is unknown, out of range or contradictory.
    """
    preset = get_config(_base_name(name, overrides))
    return apply(preset, overrides), preset


def experiment_names(named: Iterable[str], overrides: Overrides) -> tuple[str, ...]:
    """The experiments of a batch: groups expanded, each once; the file's ``base`` when none is named.

    Raises:
        ConfigError: A name is unknown, none is given, or one differs from the file's ``base``.
    """
    names = expand(named)
    if not names and overrides.base is None:
        raise ConfigError("no experiment named; give --configs NAME ... (--list_configs shows all)")
    return tuple(_base_name(name, overrides) for name in names or (None,))


def _base_name(named: str | None, overrides: Overrides) -> str:
    """The experiment to start from: the one named on the command line, or the file's ``base``.

    Raises:
        ConfigError: Neither, or both and they differ.
    """
    if named is not None and overrides.base is not None and named != overrides.base:
        raise ConfigError(f"--config {named} and 'base: {overrides.base}' of the config file differ; give one")
    name = named or overrides.base
    if name is None:
        raise ConfigError("config file: no 'base:'; name the experiment it changes, or give --config")
    return name


def parse_change(text: str, source: str, *, older_words: bool = False) -> Change:
    """The change that ``section.field=value`` asks for; the value is YAML.

    Args:
        text: As typed.
        source: The flag that it was given to.
        older_words: Those of :mod:`~human_edge_detection.experiments.older_words` are known too.

    Raises:
        ConfigError: Not of this form, no such field, or a value that is not plain YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"{source} {_short(text)}: expected section.field=value, such as {source} training.epochs=20")
    try:
        change = Change(path.strip(), parse_value(value), source)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{source} {_short(text)}: the value is not YAML of plain values ({problem_of(error)}); "
            "quote it, or write lists as [1, 2]"
        ) from error
    _check_path(change, older_words=older_words)
    return change


_KIND = "kind"
"""The field that says which fields a section has."""
_FLAG_NAMES = frozenset(flag.name for flag in FLAGS)


def _check_one_place(changes: Sequence[Change]) -> None:
    """Of the flags, or arguments, that say where the data is, two do not go together."""
    given = [[change.source for change in changes if change.is_below(place)] for place in _DATA_PLACES]
    places = [sources[0] for sources in given if sources]
    if len(places) > 1:
        raise ConfigError(f"{places[0]} and {places[1]} both say where the data is; give one")


def _leaves(fields: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check_path(change: Change, *, older_words: bool) -> None:
    """A path must lead to a field; what its value may be is the schema's to say."""
    if change.path == _WRITTEN and change.value is not None:
        raise ConfigError(f"{change.source} {_WRITTEN}: is written when a run grows, and cannot be set; use --epochs")
    if older_words and change.path in OLDER_WORDS:
        return
    parts = tuple(change.path.split("."))
    for depth, part in enumerate(parts):
        if depth and is_mapping(ExperimentConfig, parts[:depth]):
            return
        known = [name for name in field_names(ExperimentConfig, parts[:depth]) if depth or name not in _FIXED]
        if part not in known:
            above = ".".join(parts[:depth])
            choices = f"known: {', '.join(known)}" if known else f"{above} has no fields"
            raise ConfigError(
                f"{change.source}: unknown field {_short(change.path)!r}{did_you_mean(part, known)}; {choices}"
            )


def _check_distils(preset: ExperimentConfig, overrides: Overrides) -> None:
    """A temperature without a teacher would be accepted and ignored."""
    changes = touched(overrides, "distillation")
    if changes and preset.distillation is None and not any(change.path in NAMES_TEACHER for change in changes):
        raise ConfigError(
            f"{changes[0].source} ({changes[0].path}): experiment {preset.name!r} does not distil; "
            "give --teacher_checkpoint PATH, or a distillation experiment (--list_configs)"
        )


def _is_on(fields: Any, path: str) -> bool:
    for part in path.split("."):
        fields = fields.get(part) if isinstance(fields, Mapping) else None
    return isinstance(fields, Mapping)


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        below = fields.get(part)
        fields[part] = dict(below) if isinstance(below, Mapping) else {}
        fields = fields[part]
    if last == _KIND and fields.get(_KIND) != value:
        fields.clear()  # what a section of another kind had
    fields[last] = value


def _name_flags(message: str, changes: Iterable[Change], file: Path | None) -> str:
    """The schema names fields; this adds the flags that set them, or the line of the ``--config_file``."""
    for change in changes:
        name = rf"(?<![\w.]){re.escape(change.path)}(?=(\.\d+)?: )"
        if change.source in _FLAG_NAMES:
            message = re.sub(name, f"{change.source} ({change.path})", message, count=1)
        elif file is not None and change.source == f"{CONFIG_FILE} {file}" and re.search(name, message):
            place = f"{file}, line {line_of_field(file, change.path)}: {change.path}"
            message = place.join(re.split(name, message, maxsplit=1)[::2])
    return message
