"""From the flags of ``hed train`` to what is trained, where, and from which checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import Overrides, apply, base_name, collect
from human_edge_detection.experiments.registry import DEFAULT_NAME, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checks import check_paths, check_same_run, existing_checkpoints, is_finished
from human_edge_detection.runs.dependencies import dependencies, fill, require_finished
from human_edge_detection.runs.paths import RunPaths, run_paths_of_checkpoint
from human_edge_detection.runs.paths import run_name as default_run_name
from human_edge_detection.runs.records import read_section


class TrainingRequest(NamedTuple):
    """What to train.

    Attributes:
        config: Resolved, with the checkpoints of its dependencies.
        paths: The run's folder.
        resume: Checkpoint to continue from; None: the newest of the run's folder, or a new run.
        finished: The run ended well earlier; nothing is left to do.
    """

    config: ExperimentConfig
    paths: RunPaths
    resume: Path | None
    finished: bool


def prepare(
    *,
    config_name: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    flags: Mapping[str, Any],
    output_dir: Path,
    run_name: str | None,
    resume: Path | None,
    init_from: Path | None,
) -> TrainingRequest:
    """Resolves a command line without writing anything.

    Args:
        config_name: The experiment; None: the file's base, the resumed run's, or the default.
        config_file: YAML or JSON file.
        sets: ``section.field=value`` each.
        flags: Dedicated flags by name.
        output_dir: Folder of all runs.
        run_name: Folder of this run below it; None: made from the config.
        resume: Run folder or checkpoint to continue; None: continue when the run's own folder holds work.
        init_from: Weights of a new run.

    Raises:
        ConfigError: Anything is wrong with the request.
    """
    overrides = collect(config_file=config_file, sets=sets, flags=flags)
    if resume is not None:
        return _continue(resume, config_name, overrides, output_dir)
    name = config_name or overrides.base or DEFAULT_NAME
    preset = get_config(base_name(name, overrides))
    config = apply(preset, overrides)
    paths = RunPaths(output_dir / (run_name or default_run_name(config, preset, init_from=init_from)))
    check_paths(config, output_dir)
    stored = read_section(ExperimentConfig, paths.config)
    config = require_finished(config, overrides, output_dir) if stored is None else _fill_from(config, stored)
    check_same_run(paths, config)
    return TrainingRequest(config, paths, None, is_finished(paths))


def _continue(given: Path, config_name: str | None, overrides: Overrides, output_dir: Path) -> TrainingRequest:
    """The run of ``--resume PATH``: its own config, which what else is given must agree with."""
    if not given.exists():
        raise ConfigError(f"--resume: no such run folder or checkpoint: {given}; {existing_checkpoints(output_dir)}")
    paths = RunPaths(given) if given.is_dir() else run_paths_of_checkpoint(given)
    stored = read_section(ExperimentConfig, paths.config)
    if stored is None:
        raise ConfigError(
            f"--resume {given}: not a run, {paths.config} is missing; to start a new run from weights use --init_from"
        )
    base = stored if config_name is None and overrides.base is None else get_config(base_name(config_name, overrides))
    config = _fill_from(apply(base, overrides), stored)
    check_paths(config, output_dir)
    check_same_run(paths, config, epochs_may_grow=True)
    finished = is_finished(paths) and config.training.epochs == stored.training.epochs
    return TrainingRequest(config, paths, None if given.is_dir() else given, finished)


def _fill_from(config: ExperimentConfig, stored: ExperimentConfig) -> ExperimentConfig:
    """``config`` with the dependencies that the run was started with."""
    found = {}
    for dependency in dependencies(config):
        section, field = dependency.field.split(".")
        value = getattr(getattr(stored, section), field, None)
        if value is not None:
            found[dependency.field] = Path(value)
    return fill(config, found) if found else config
