"""From what a user asks for to what is trained, where, and from which checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import NO_OVERRIDES, Overrides, apply, resolve
from human_edge_detection.experiments.registry import DEFAULT_NAME
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checks import (
    check_init_from,
    check_paths,
    check_run_name,
    check_same_run,
    existing_checkpoints,
    is_finished,
)
from human_edge_detection.runs.dependencies import dependencies, fill, require_finished
from human_edge_detection.runs.paths import RunPaths, run_name, run_paths_of_checkpoint, sample_data_dir
from human_edge_detection.runs.records import read_section


@dataclass(frozen=True)
class RunRequest:
    """One run as a user asks for it.

    Attributes:
        output_dir: Folder of all runs.
        name: The experiment; None: the ``--config_file``'s base, the resumed run's, or the default.
        overrides: What changes it.
        run_name: Folder of this run below ``output_dir``; None: made from the config.
        resume: Run folder or checkpoint to continue; None: continue when the run's own folder holds work.
        init_from: Weights of a new run.
    """

    output_dir: Path
    name: str | None = None
    overrides: Overrides = NO_OVERRIDES
    run_name: str | None = None
    resume: Path | None = None
    init_from: Path | None = None


class ResolvedRun(NamedTuple):
    """What to train.

    Attributes:
        config: Resolved, with the checkpoints of its dependencies.
        paths: The run's folder.
        sample_root: Where its embedded sample data lie, if it trains on such.
        resume: Checkpoint to continue from; None: the newest of the run's folder, or a new run.
        finished: The run ended well earlier; nothing is left to do.
    """

    config: ExperimentConfig
    paths: RunPaths
    sample_root: Path
    resume: Path | None
    finished: bool


def resolve_run(request: RunRequest) -> ResolvedRun:
    """What ``request`` stands for; writes nothing.

    Raises:
        ConfigError: Anything is wrong with the request.
    """
    if request.resume is not None and request.init_from is not None:
        raise ConfigError("--resume continues a run and --init_from starts one; give one of them")
    check_run_name(request.run_name)
    check_init_from(request.init_from)
    return _start(request) if request.resume is None else _continue(request, request.resume)


def _start(request: RunRequest) -> ResolvedRun:
    """A new run, or what was done of it when the same was asked for before."""
    overrides, output_dir = request.overrides, request.output_dir
    config, preset = resolve(request.name or overrides.base or DEFAULT_NAME, overrides)
    paths = RunPaths(output_dir / (request.run_name or run_name(config, preset, init_from=request.init_from)))
    check_paths(config, output_dir)
    stored = read_section(ExperimentConfig, paths.config)
    config = require_finished(config, overrides, output_dir) if stored is None else _fill_from(config, stored)
    check_same_run(paths, config)
    return ResolvedRun(config, paths, sample_data_dir(output_dir, config.data), None, is_finished(paths))


def _continue(request: RunRequest, given: Path) -> ResolvedRun:
    """The run of ``--resume PATH``: its own config, which what else is given must agree with."""
    overrides, output_dir = request.overrides, request.output_dir
    if not given.exists():
        raise ConfigError(f"--resume: no such run folder or checkpoint: {given}; {existing_checkpoints(output_dir)}")
    paths = RunPaths(given) if given.is_dir() else run_paths_of_checkpoint(given)
    stored = read_section(ExperimentConfig, paths.config)
    if stored is None:
        raise ConfigError(
            f"--resume {given}: not a run, {paths.config} is missing; to start a new run from weights use --init_from"
        )
    named = request.name is not None or overrides.base is not None
    config = resolve(request.name, overrides)[0] if named else apply(stored, overrides)
    config = _fill_from(config, stored)
    check_paths(config, output_dir)
    check_same_run(paths, config, epochs_may_grow=True)
    finished = is_finished(paths) and config.training.epochs == stored.training.epochs
    sample_root = sample_data_dir(output_dir, config.data)
    return ResolvedRun(config, paths, sample_root, None if given.is_dir() else given, finished)


def _fill_from(config: ExperimentConfig, stored: ExperimentConfig) -> ExperimentConfig:
    """``config`` with the dependencies that the run was started with."""
    found = {}
    for dependency in dependencies(config):
        section, field = dependency.field.split(".")
        value = getattr(getattr(stored, section), field, None)
        if value is not None:
            found[dependency.field] = Path(value)
    return fill(config, found) if found else config
