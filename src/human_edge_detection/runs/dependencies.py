"""Experiments that another one needs trained first: its teacher, and the pre-training of its U-Net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.flags import FLAG_OF_PATH, TEACHER_CHECKPOINT
from human_edge_detection.experiments.overrides import Overrides, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.checks import existing_checkpoints, is_finished
from human_edge_detection.runs.paths import RunPaths, run_name


class Dependency(NamedTuple):
    """A checkpoint that a config needs from another experiment.

    Attributes:
        field: Dotted path of the field that takes the checkpoint.
        experiment: Experiment whose best checkpoint it is.
        role: What it is for, in words.
    """

    field: str
    experiment: str
    role: str


def dependencies(config: ExperimentConfig) -> tuple[Dependency, ...]:
    """What ``config`` needs trained first; nothing for a checkpoint that it names itself."""
    needed = []
    distillation, model = config.distillation, config.model
    if distillation is not None and distillation.teacher_config and distillation.teacher_checkpoint is None:
        needed.append(Dependency(TEACHER_CHECKPOINT, distillation.teacher_config, "the teacher"))
    if model.pretrained_unet_config and model.pretrained_unet is None:
        needed.append(Dependency("model.pretrained_unet", model.pretrained_unet_config, "the pre-training"))
    return tuple(needed)


def fill(config: ExperimentConfig, checkpoints: Mapping[str, Path]) -> ExperimentConfig:
    """``config`` with the checkpoints of its dependencies, given by field."""
    sections: dict[str, dict[str, str]] = {}
    for path, checkpoint in checkpoints.items():
        section, field = path.split(".")
        sections.setdefault(section, {})[field] = str(checkpoint)
    return derive(config, name=config.name, description=config.description, **sections)


def dependency_config(dependency: Dependency, overrides: Overrides) -> tuple[ExperimentConfig, ExperimentConfig]:
    """The config of a dependency for a run with ``overrides``, and its preset."""
    preset = get_config(dependency.experiment)
    return resolve(dependency.experiment, overrides.for_dependency(preset))


def candidate_names(config: ExperimentConfig, preset: ExperimentConfig) -> tuple[str, str]:
    """Where a dependency's run may lie: as a run of its own, or as one of several seeds."""
    return run_name(config, preset), run_name(config, preset, seed_folder=True)


def find_finished(
    config: ExperimentConfig,
    preset: ExperimentConfig,
    output_dir: Path,
    finished: Callable[[RunPaths], bool] = is_finished,
) -> RunPaths | None:
    """The finished run of ``config`` below ``output_dir``; None when there is none."""
    runs = (RunPaths(output_dir / name) for name in candidate_names(config, preset))
    return next((run for run in runs if finished(run)), None)


def require_finished(config: ExperimentConfig, overrides: Overrides, output_dir: Path) -> ExperimentConfig:
    """``config`` with the best checkpoints of its finished dependencies filled in.

    Raises:
        ConfigError: A dependency has not been trained; says where it was looked for, what exists and what to do.
    """
    found: dict[str, Path] = {}
    for dependency in dependencies(config):
        # A U-Net given by path is this run's own; its teacher's may have another encoder.
        needed, preset = dependency_config(dependency, overrides.without("model.pretrained_unet"))
        run = find_finished(needed, preset, output_dir)
        if run is None:
            raise ConfigError(_missing(config, dependency, RunPaths(output_dir / run_name(needed, preset)), output_dir))
        found[dependency.field] = run.best
    return fill(config, found) if found else config


def _missing(config: ExperimentConfig, dependency: Dependency, run: RunPaths, output_dir: Path) -> str:
    without = (
        "; or go without: --set model.pretrained_unet_config=null"
        if dependency.field == "model.pretrained_unet"
        else ""
    )
    return (
        f"{config.name} needs {dependency.role} {dependency.experiment}, and no finished run of it is at {run.best}; "
        f"run_experiments.py --configs {config.name} with the same flags trains both in order, or give "
        f"{FLAG_OF_PATH[dependency.field]} PATH{without}; {existing_checkpoints(output_dir)}"
    )
