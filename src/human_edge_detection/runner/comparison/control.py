"""How runs relate by their configs: to their control, which lacks the distillation only, and to their preset."""

from __future__ import annotations

import json
from typing import Any

from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.lookup.identity import RunContents, identity_fields, weights_names


def shared_with_control(config: ExperimentConfig, contents: RunContents) -> dict[str, Any]:
    """The settings and starting weights that are equal in a run and its control, as nested plain fields.

    Epochs count with the segments by which a run has grown: a learning rate that rose again is other training.
    """
    fields = identity_fields(config)
    fields.pop("distillation")
    segments = config.training.segments
    fields["training"] |= {"epochs": config.training.epochs, "segments": segments and list(segments)}
    weights = weights_names(contents)
    weights.pop(TEACHER_CHECKPOINT, None)
    fields["starts_from"] = weights | {"model.encoder_weights": contents.encoder_weights}
    return fields


def changes_of(config: ExperimentConfig) -> str | None:
    """How ``config`` differs from the registered experiment of its name, epochs included; None when there is none.

    Paths and settings without effect are left out: ``training.epochs=20 distillation.alpha=0.6``.
    """
    preset = next((one for one in list_configs() if one.name == config.name), None)
    if preset is None:
        return None
    before, after = ({**identity_fields(one), "training.epochs": one.training.epochs} for one in (preset, config))
    return " ".join(f"{path}={json.dumps(new)}" for path, (_, new) in compare_fields(before, after).items())
