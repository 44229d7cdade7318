"""Named experiments and groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments import presets
from human_edge_detection.experiments.presets.students import DEFAULT_NAME as DEFAULT_NAME
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

_REQUIRED: Final = {"PLACE": "a number, its place in the list of experiments", "EXPERIMENTS": "a tuple of experiments"}
"""What a module of presets has, and what that is; ``GROUPS``, group -> names of experiments, is optional."""


def _modules() -> Iterator[ModuleType]:
    """The modules of presets, which are found, not listed, in the order of their ``PLACE``.

    Raises:
        ConfigError: A module lacks what every one must have.
    """
    modules = [import_module(f"{presets.__name__}.{found.name}") for found in iter_modules(presets.__path__)]
    for module in modules:
        for name, meaning in _REQUIRED.items():
            if not hasattr(module, name):
                raise ConfigError(f"{module.__file__}: a module of presets needs {name}, {meaning}; add it")
    yield from sorted(modules, key=lambda module: module.PLACE)


@cache
def _shipped() -> dict[str, ExperimentConfig]:
    return {config.name: config for module in _modules() for config in module.EXPERIMENTS}


@cache
def _registered() -> dict[str, ExperimentConfig]:
    configs: dict[str, ExperimentConfig] = {}
    for module in _modules():
        for config in module.EXPERIMENTS:
            _add(configs, config)
    return configs


def _add(configs: dict[str, ExperimentConfig], config: ExperimentConfig) -> None:
    if config.name in configs or config.name in list_groups():
        raise ConfigError(f"experiment {config.name!r}: the name is taken; give another")
    configs[config.name] = config


def register(config: ExperimentConfig) -> ExperimentConfig:
    """Adds an experiment for this process and returns it; the same one again changes nothing.

    Raises:
        ConfigError: The name is taken, by another experiment or a group.
    """
    if _registered().get(config.name) != config:
        _add(_registered(), config)
    return config


def is_shipped(config: ExperimentConfig) -> bool:
    """Whether every process knows ``config`` by its name, not only one that has registered or derived it."""
    return _shipped().get(config.name) == config


def get_config(name: str) -> ExperimentConfig:
    """The experiment called ``name``.

    Raises:
        ConfigError: There is none; names the nearest.
    """
    configs = _registered()
    if name not in configs:
        raise ConfigError(f"unknown experiment {name!r}{did_you_mean(name, configs)}; --list_configs shows all")
    return configs[name]


def list_configs() -> tuple[ExperimentConfig, ...]:
    """All experiments, in the order of their registration."""
    return tuple(_registered().values())


def list_groups() -> dict[str, tuple[str, ...]]:
    """Group name -> names of its experiments."""
    return {name: members for module in _modules() for name, members in getattr(module, "GROUPS", {}).items()}


def expand(names: Iterable[str]) -> list[str]:
    """Experiment names with groups replaced by their members; each name once, first place kept.

    Raises:
        ConfigError: A name is neither an experiment nor a group; names the nearest.
    """
    groups, known = list_groups(), _registered()
    expanded: list[str] = []
    for name in names:
        if name not in groups and name not in known:
            near = did_you_mean(name, [*groups, *known])
            raise ConfigError(f"unknown experiment {name!r}{near}; --list_configs shows all")
        expanded.extend(groups.get(name, (name,)))
    return list(dict.fromkeys(expanded))
