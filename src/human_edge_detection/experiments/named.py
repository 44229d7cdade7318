"""What a user names: experiments and groups by name, config files by path, configs of a Python program as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import split_config
from human_edge_detection.experiments.overrides import (
    NO_OVERRIDES,
    Overrides,
    apply,
    collect,
    experiment_names,
    resolve,
)
from human_edge_detection.experiments.registry import DEFAULT_NAME
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

Given = str | Path | ExperimentConfig
"""Name of an experiment, path of a config file based on one, or a config."""


class NamedExperiments(NamedTuple):
    """The experiments that are named, each once, in the order given.

    Attributes:
        names: Groups expanded; a config file stands under its own name or that of its base.
        files: By name, what those do that are config files.
        configs: By name, those that are given as configs.
    """

    names: tuple[str, ...]
    files: Mapping[str, Overrides]
    configs: Mapping[str, ExperimentConfig]


def named_experiments(given: Iterable[Given], overrides: Overrides) -> NamedExperiments:
    """The experiments of a command; the ``--config_file``'s base when none is given.

    Raises:
        ConfigError: A name is unknown, a file cannot be used, or two of them have one name.
    """
    names: list[str] = []
    files: dict[str, Overrides] = {}
    configs: dict[str, ExperimentConfig] = {}
    for one in given:
        if isinstance(one, ExperimentConfig):
            _check_base(one, overrides)
            if one.name in names and configs.get(one.name) != one:
                raise ConfigError(f"experiment {one.name!r} is named twice, with different configs; rename one of them")
            configs[one.name] = one
            names.append(one.name)
            continue
        name, file = split_config(str(one))
        new = list(experiment_names([name], overrides)) if name is not None else []
        if file is not None:
            own = _read(file, overrides)
            called = own.name or own.base or DEFAULT_NAME
            if called in names:
                raise ConfigError(f"{file}: {called!r} is named twice; give it a name of its own with 'name:'")
            files[called] = own
            new = [called]
        if twice := configs.keys() & new:
            raise ConfigError(f"experiment {min(twice)!r} is named twice, with different configs; rename one of them")
        names += new
    if not names and overrides.base is not None:
        names += experiment_names([], overrides)
    return NamedExperiments(tuple(dict.fromkeys(names)), files, configs)


def resolve_given(given: Given | None, overrides: Overrides = NO_OVERRIDES) -> ExperimentConfig:
    """The config of the one experiment that ``given``, or else a config file among ``overrides``, names.

    Raises:
        ConfigError: Anything is unknown, out of range or contradictory, or no experiment is named.
    """
    if isinstance(given, ExperimentConfig):
        _check_base(given, overrides)
        return apply(given, overrides)
    name, file = (None, None) if given is None else split_config(str(given))
    if file is not None:
        own = _read(file, overrides)
        overrides = own.keep([*own.changes, *overrides.changes])
    if name is None and overrides.file is None:
        raise ConfigError("no experiment: give the name of one; hed train --list_configs shows them")
    return resolve(name or overrides.base or DEFAULT_NAME, overrides)[0]


def _read(file: Path, overrides: Overrides) -> Overrides:
    if overrides.file is not None:
        raise ConfigError(f"{file} and {overrides.file}: two config files may contradict each other; give one")
    return collect(config_file=file)


def _check_base(config: ExperimentConfig, overrides: Overrides) -> None:
    if overrides.base not in (None, config.name):
        raise ConfigError(f"{overrides.file}: 'base: {overrides.base}', and {config.name!r} is given; give one of them")
