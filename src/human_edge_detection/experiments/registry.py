"""Named experiments and groups of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.presets import hierarchical, peopleseg, quickstart, students
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

DEFAULT_NAME = students.DEFAULT_NAME


@cache
def _registered() -> dict[str, ExperimentConfig]:
    configs: dict[str, ExperimentConfig] = {}
    for module in (quickstart, students, hierarchical, peopleseg):
        for config in module.EXPERIMENTS:
            _add(configs, config)
    return configs


def _add(configs: dict[str, ExperimentConfig], config: ExperimentConfig) -> None:
    if config.name in configs or config.name in quickstart.GROUPS:
        raise ConfigError(f"experiment {config.name!r}: the name is taken; give another")
    configs[config.name] = config


def register(config: ExperimentConfig) -> ExperimentConfig:
    """Adds an experiment for this process and returns it.

    Raises:
        ConfigError: The name is taken, by an experiment or a group.
    """
    _add(_registered(), config)
    return config


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
    return dict(quickstart.GROUPS)


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
