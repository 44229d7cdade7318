"""What a user asks a batch for, and which of the changes hold for which of the experiments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import (
    NO_OVERRIDES,
    PRETRAINED_FIELDS,
    Change,
    Overrides,
    apply,
    has_pretraining,
    touched,
)
from human_edge_detection.experiments.registry import DEFAULT_NAME, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.lookup.placement import Seed


@dataclass(frozen=True)
class BatchRequest:
    """What a user asks for.

    Attributes:
        names: Experiments, groups expanded; a config file stands under its own name or that of its base.
        output_dir: Folder of all runs.
        overrides: What the command line changes.
        files: By name, what a config file among the experiments changes.
        configs: By name, experiments that are given as they are; every other name is a registered one.
        seeds: One run of each experiment for each; None: one run, the seed of its config.
        run_name: Folder of the run, when one experiment is named.
        resume: Run folder or checkpoint to continue: that run decides, and what else is given must agree with it.
        restart: Train the named experiments anew.
        as_it_is: What lies in the folders of the named experiments, with whatever settings; nothing is trained.
        grid: Each experiment is run with each of these combinations of changes, which do not reach what it depends on:
            a teacher that is not named is trained once, for all of them.
    """

    names: tuple[str, ...]
    output_dir: Path
    overrides: Overrides = NO_OVERRIDES
    files: Mapping[str, Overrides] = field(default_factory=dict)
    configs: Mapping[str, ExperimentConfig] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    run_name: str | None = None
    resume: Path | None = None
    restart: bool = False
    as_it_is: bool = False
    grid: tuple[tuple[Change, ...], ...] = ((),)

    @property
    def swept(self) -> bool:
        """Whether combinations are tried; then no run grows."""
        return self.grid != ((),)


@dataclass(frozen=True, eq=False)
class Unit:
    """An experiment with one combination of changes, in all its seeds, before it is known what it depends on.

    Attributes:
        preset: The experiment that it comes from.
        configs: Resolved, by seed; under None for a run without seed folder.
        overrides: Those that its dependencies may inherit.
        combination: Those of the grid, which they do not.
        swept: The combination changes it.
        named: The user asked for it; False: another needs it.
        reason: Why it was added; empty when named.
        file: The config file that it comes from, when that gives it a name of its own.
    """

    preset: ExperimentConfig
    configs: Mapping[Seed, ExperimentConfig]
    overrides: Overrides
    combination: tuple[Change, ...] = ()
    swept: bool = False
    named: bool = True
    reason: str = ""
    file: Path | None = None

    @property
    def name(self) -> str:
        """Of the experiment, and of its plain folder."""
        return next(iter(self.configs.values())).name


class _Named(NamedTuple):
    """A named experiment: what it is registered as, what it is with its file, and all changes but the grid's."""

    preset: ExperimentConfig
    shape: ExperimentConfig
    overrides: Overrides


def named_units(request: BatchRequest) -> list[Unit]:
    """The units of the experiments that ``request`` names.

    Raises:
        ConfigError: An experiment or a change is wrong, or one name is given to several.
    """
    named = [_named(name, request) for name in request.names]
    if request.run_name is not None and len(named) != 1:
        raise ConfigError(f"--run_name {request.run_name}: names one folder, and {len(named)} experiments are named")
    if request.overrides.name is not None and len(named) != 1:
        raise ConfigError(f"'name: {request.overrides.name}' of the --config_file: {len(named)} experiments are named")
    units: dict[str, Unit] = {}
    for one, combination in product(named, request.grid):
        changes = _scope(one, one.overrides.keep([*one.overrides.changes, *combination]), named)
        configs = {seed: apply(one.preset, with_seed(changes, seed)) for seed in request.seeds or (None,)}
        same = json.dumps([(seed, config.model_dump(mode="json")) for seed, config in configs.items()], sort_keys=True)
        if same in units:
            continue  # the control of a sweep of distillation fields
        file = one.overrides.file if one.overrides.name is not None else None
        swept = any(change in changes.changes for change in combination)
        units[same] = Unit(one.preset, configs, one.overrides, combination, swept=swept, file=file)
    return list(units.values())


class NamedUnits:
    """The named units of a batch, to look up: a look through all for each of them takes minutes for thousands."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._by_name: dict[str, list[Unit]] = {}
        self._by_preset: dict[str, list[Unit]] = {}
        self._by_combination: dict[tuple[str, str], Unit] = {}
        for unit in units:
            self._by_name.setdefault(unit.name, []).append(unit)
            self._by_preset.setdefault(unit.preset.name, []).append(unit)
            self._by_combination.setdefault((unit.preset.name, repr(unit.combination)), unit)

    def of_experiment(self, experiment: str, unit: Unit) -> Unit | None:
        """The unit of ``experiment`` with the combination of ``unit``, else the first, but never ``unit`` itself."""
        found = self._by_combination.get((experiment, repr(unit.combination)))
        if found is not None and found is not unit:
            return found
        others = [other for other in self._by_preset.get(experiment, ()) if other is not unit]
        return max(others, key=lambda other: other.combination == unit.combination, default=None)

    def around(self, root: Path) -> list[Unit]:
        """Those that the run folder ``root`` may be of, by its name."""
        own = (root.name, root.parent.name)
        named = (units for name, units in self._by_name.items() if name in own or root.name.startswith(f"{name}+"))
        return [unit for units in named for unit in units]


def with_seed(overrides: Overrides, seed: Seed) -> Overrides:
    """``overrides`` with the seed that ``--seeds`` gives, if it does."""
    return overrides if seed is None else overrides.keep([*overrides.changes, Change("training.seed", seed, "--seeds")])


def _named(name: str, request: BatchRequest) -> _Named:
    own = request.files.get(name)
    if own is None:
        preset = request.configs.get(name) or get_config(name)
        return _Named(preset, preset, request.overrides)
    preset = get_config(own.base or DEFAULT_NAME)
    together = own.keep([*own.changes, *request.overrides.changes])
    return _Named(preset, apply(preset, own), together)


def _scope(one: _Named, overrides: Overrides, named: Sequence[_Named]) -> Overrides:
    """Those changes of ``overrides`` that hold for ``one`` of the ``named`` experiments.

    Distillation changes, and images that only a teacher speaks about, go to the experiments that distil. Pre-training
    changes go to those with a pre-trained U-Net, teachers that are trained for the named ones included. When there is
    none, they go to all named experiments.
    """
    shapes = [other.shape for other in named]
    if not has_pretraining(one.shape) and any(map(has_pretraining, [*shapes, *_teachers(named, overrides)])):
        overrides = overrides.without(*PRETRAINED_FIELDS)
    if one.shape.distillation is None and any(shape.distillation for shape in shapes):
        overrides = overrides.without("distillation", "data.unlabelled")
    return overrides


def _teachers(named: Sequence[_Named], overrides: Overrides) -> list[ExperimentConfig]:
    if touched(overrides, "distillation.teacher_checkpoint"):
        return []
    presets = {one.preset.name: one.preset for one in named}
    sections = [one.shape.distillation for one in named if one.shape.distillation]
    teachers = [section.teacher_config for section in sections if section.teacher_config]
    return [presets.get(name) or get_config(name) for name in teachers]
