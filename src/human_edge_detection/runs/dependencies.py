"""Experiments that another one needs trained first: its teacher, and the pre-training of its U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.overrides import Overrides, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive


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
