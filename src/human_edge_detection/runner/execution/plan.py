"""From the experiments that a user names to an ordered list of runs, with what they depend on before them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.flags import FLAG_OF_PATH
from human_edge_detection.experiments.overrides import (
    NO_OVERRIDES,
    PRETRAINED_FIELDS,
    Change,
    Overrides,
    apply,
    has_pretraining,
    touched,
)
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checks import check_paths, check_same_run, is_finished
from human_edge_detection.runs.dependencies import (
    Dependency,
    dependencies,
    dependency_config,
    fill,
    find_finished,
)
from human_edge_detection.runs.paths import RunPaths, run_name


@dataclass(frozen=True)
class BatchRequest:
    """What a user asks for.

    Attributes:
        names: Experiments, groups expanded.
        output_dir: Folder of all runs.
        overrides: What the command line changes.
        seeds: One run of each experiment for each; None: one run, the seed of its config.
        run_name: Folder of the run, when one experiment is named.
        init_from: Weights that new runs of the named experiments start from.
        restart: Train the named experiments anew.
        grid: Each experiment is run with each of these combinations of changes, which do not reach what it depends on:
            a teacher that is not named is trained once, for all of them.
    """

    names: tuple[str, ...]
    output_dir: Path
    overrides: Overrides = NO_OVERRIDES
    seeds: tuple[int, ...] | None = None
    run_name: str | None = None
    init_from: Path | None = None
    restart: bool = False
    grid: tuple[tuple[Change, ...], ...] = ((),)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a batch.

    Attributes:
        name: Folder below the output folder.
        output_dir: Folder of all runs.
        preset: The registered experiment that it comes from.
        config: Resolved; dependencies not filled in, so its name does not depend on where they lie.
        checkpoints: The dependencies' checkpoints by field; they may be yet to be trained.
        requires: Names of the runs of this batch that must finish first.
        named: The user asked for it; False: it was added for another.
        finished: It ended well earlier and is not to be trained anew.
        reason: Why it was added; empty when named.
        restart: The folder is deleted first.
        extra: Further arguments of the training command.
    """

    name: str
    output_dir: Path
    preset: ExperimentConfig
    config: ExperimentConfig
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    named: bool = True
    finished: bool = False
    reason: str = ""
    restart: bool = False
    extra: tuple[str, ...] = ()

    @property
    def paths(self) -> RunPaths:
        """Its folder."""
        return RunPaths(self.output_dir / self.name)

    @property
    def full_config(self) -> ExperimentConfig:
        """The config as the run trains it, with the checkpoints of its dependencies."""
        return fill(self.config, self.checkpoints) if self.checkpoints else self.config


def plan(request: BatchRequest, *, finished: Callable[[RunPaths], bool] = is_finished) -> tuple[PlannedRun, ...]:
    """The runs of a batch in the order in which they can be trained.

    Args:
        request: What the user asks for.
        finished: Whether a run folder holds a finished run.

    Raises:
        ConfigError: An experiment or a change is wrong, a change applies to no run, or experiments need each other.
    """
    presets = [get_config(name) for name in request.names]
    if request.run_name is not None and len(presets) != 1:
        raise ConfigError(f"--run_name {request.run_name}: names one folder, and {len(presets)} experiments are named")
    if request.overrides.name is not None and len(presets) != 1:
        raise ConfigError(
            f"'name: {request.overrides.name}' of the --config_file: {len(presets)} experiments are named"
        )
    targets = _targets(request, presets)
    planned: dict[str, PlannedRun] = {}
    for target in targets:
        _add(target, planned, _Batch(request, targets, finished), trail=())
    return tuple(planned.values())


def check_plan(runs: Sequence[PlannedRun]) -> None:
    """Refuses a plan that cannot be trained: no data, a path that does not exist, a folder of another config.

    Raises:
        ConfigError: Before anything is written.
    """
    for run in runs:
        check_paths(run.config, run.output_dir)
        if not run.restart:
            check_same_run(run.paths, run.full_config)


def train_command(run: PlannedRun) -> list[str]:
    """The child process that trains ``run``: its preset and every difference from it, so it resolves to the same."""
    command = [sys.executable, "-m", "human_edge_detection", "train", "--config", run.preset.name]
    command += [*run.extra, "--output_dir", str(run.output_dir), "--run_name", run.name]
    for path, (_, value) in difference(run.config, run.preset).items():
        command += ["--set", f"{path}={json.dumps(value, ensure_ascii=False)}"]
    for path, checkpoint in run.checkpoints.items():
        command += [FLAG_OF_PATH[path], str(checkpoint)]
    return command


class _Target(NamedTuple):
    """A run before its dependencies are known.

    ``overrides`` are those that its dependencies may inherit, ``combination`` those of the grid, which they do not.
    """

    name: str
    preset: ExperimentConfig
    config: ExperimentConfig
    overrides: Overrides
    combination: tuple[Change, ...] = ()
    named: bool = True
    reason: str = ""


class _Batch(NamedTuple):
    """What stays the same while a batch is planned."""

    request: BatchRequest
    targets: Sequence[_Target]
    finished: Callable[[RunPaths], bool]


def _targets(request: BatchRequest, presets: Sequence[ExperimentConfig]) -> list[_Target]:
    targets = []
    several = request.seeds is not None
    for preset, combination, seed in product(presets, request.grid, request.seeds or (None,)):
        swept = request.overrides.keep([*request.overrides.changes, *combination])
        config = apply(preset, _with_seed(_scope(swept, preset, presets), seed))
        name = run_name(config, preset, init_from=request.init_from, seed_folder=several)
        if request.run_name is not None:
            name = f"{request.run_name}/seed_{seed}" if several else request.run_name
        targets.append(_Target(name, preset, config, _with_seed(request.overrides, seed), combination))
    return targets


def _scope(overrides: Overrides, preset: ExperimentConfig, presets: Sequence[ExperimentConfig]) -> Overrides:
    """The changes that hold for ``preset``, one of the named ``presets``.

    Distillation changes go to the experiments that distil. Pre-training changes go to those with a pre-trained U-Net,
    teachers that are trained for the named ones included. When there is none, they go to all named experiments.
    """
    if preset.distillation is None and any(other.distillation for other in presets):
        overrides = overrides.without("distillation")
    if not has_pretraining(preset) and any(map(has_pretraining, [*presets, *_teachers(presets, overrides)])):
        overrides = overrides.without(*PRETRAINED_FIELDS)
    return overrides


def _teachers(presets: Sequence[ExperimentConfig], overrides: Overrides) -> list[ExperimentConfig]:
    if touched(overrides, "distillation.teacher_checkpoint"):
        return []
    sections = [preset.distillation for preset in presets if preset.distillation]
    return [get_config(section.teacher_config) for section in sections if section.teacher_config]


def _with_seed(overrides: Overrides, seed: int | None) -> Overrides:
    return overrides if seed is None else overrides.keep([*overrides.changes, Change("training.seed", seed, "--seeds")])


def _add(target: _Target, planned: dict[str, PlannedRun], batch: _Batch, trail: tuple[str, ...]) -> None:
    """Puts ``target`` into ``planned``, after what it depends on."""
    if target.name in planned:
        return
    if target.name in trail:
        raise ConfigError(f"experiments need each other: {' -> '.join([*trail, target.name])}; break the circle")
    restart = target.named and batch.request.restart
    done = not restart and batch.finished(RunPaths(batch.request.output_dir / target.name))
    checkpoints: dict[str, Path] = {}
    requires: list[str] = []
    for dependency in dependencies(target.config):
        needed = _find(dependency, target, batch)
        checkpoints[dependency.field] = needed if isinstance(needed, Path) else _best(needed, batch)
        # A finished run waits for a teacher that this batch trains anew, to see whether it still is its teacher.
        if isinstance(needed, _Target) and (needed.named or not done):
            _add(needed, planned, batch, (*trail, target.name))
            requires.append(needed.name)
    planned[target.name] = PlannedRun(
        name=target.name,
        output_dir=batch.request.output_dir,
        preset=target.preset,
        config=target.config,
        checkpoints=checkpoints,
        requires=tuple(requires),
        named=target.named,
        finished=done,
        reason=target.reason,
        restart=restart,
        extra=_extra(target, batch.request),
    )


def _find(dependency: Dependency, target: _Target, batch: _Batch) -> _Target | Path:
    """Where a dependency comes from: a named run, a finished one on disk, or a run to add."""
    seed = target.config.training.seed
    named = [other for other in batch.targets if other.preset.name == dependency.experiment]
    if named:
        # The one with its seed and its combination; else with its seed; else the first.
        return max(
            named, key=lambda other: (other.config.training.seed == seed, other.combination == target.combination)
        )
    seeds = batch.request.seeds
    overrides = target.overrides if seeds is None else _with_seed(target.overrides, seeds[0])
    config, preset = dependency_config(dependency, overrides)
    found = find_finished(config, preset, batch.request.output_dir, batch.finished)
    if found is not None:
        return found.best
    name = run_name(config, preset, seed_folder=seeds is not None)
    return _Target(name, preset, config, overrides, named=False, reason=f"{dependency.role} of {target.preset.name}")


def _best(target: _Target, batch: _Batch) -> Path:
    return RunPaths(batch.request.output_dir / target.name).best


def _extra(target: _Target, request: BatchRequest) -> tuple[str, ...]:
    if not target.named:
        return ()
    own_name = ("--config_file", str(request.overrides.file)) if request.overrides.name is not None else ()
    return own_name if request.init_from is None else (*own_name, "--init_from", str(request.init_from))
