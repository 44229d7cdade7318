"""What a user says that the teacher is, compared with what it is."""

from __future__ import annotations

from typing import Final

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.older_words import TEACHER_ARCHITECTURE, TEACHER_ENCODER
from human_edge_detection.experiments.overrides import Overrides, touched
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint

_ARCHITECTURES: Final = {
    "hierarchical": ("hierarchical", "hierarchical_unet", "hierarchical_unet_v2", "rgb_hierarchical_unet_v2", "unet"),
    "plain": ("plain", "plain_unet", "baseline", "unet"),
    "none": ("none", "unet"),
}
"""``model.head`` -> what such a network is called; the first is what the schema says."""


def check_teacher_claims(
    config: ExperimentConfig, overrides: Overrides, *, planned: ExperimentConfig | None = None
) -> None:
    """Refuses ``teacher_encoder`` and ``teacher_architecture`` that are not those of the teacher.

    Args:
        config: The run's, with the path of its teacher where that is known.
        overrides: What the user said.
        planned: The experiment that trains the teacher first; its checkpoint need not exist yet.

    Raises:
        ConfigError: They contradict the teacher, or there is no network of this tool: soft labels alone, or
            a model file.
        CheckpointError: The teacher's checkpoint cannot be read.
    """
    claims = [
        change for change in touched(overrides, TEACHER_ENCODER, TEACHER_ARCHITECTURE) if change.value is not None
    ]
    if not claims or config.distillation is None:
        return
    if planned is not None:
        teachers = {f"the teacher {planned.name}": planned}
    else:
        paths = config.distillation.own_teacher_paths
        teachers = {f"the teacher {path}": config_in_checkpoint(path) for path in paths}
    for claim in claims:
        if not teachers:
            what = "soft labels are" if config.distillation.external_teacher is None else "a model file is"
            raise ConfigError(f"{claim.source}: {claim.path}: {what} no network to compare with; leave it out")
        for name, teacher in teachers.items():
            is_encoder = claim.path == TEACHER_ENCODER
            known = (teacher.model.encoder,) if is_encoder else (*_ARCHITECTURES[teacher.model.head], teacher.name)
            if str(claim.value).lower().replace("-", "_") not in {word.lower().replace("-", "_") for word in known}:
                raise ConfigError(
                    f"{claim.source}: {claim.path}: {claim.value!r}, and {name} has {known[0]!r}; "
                    "mend it or leave it out, or give another --teacher_checkpoint"
                )
