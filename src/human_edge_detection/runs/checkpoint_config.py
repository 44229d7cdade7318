"""What a checkpoint file says of itself, read without torch and without the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.files.torch_archive_head import read_archive_head
from human_edge_detection.runs.what_to_give import instead_of


@dataclass(frozen=True)
class CheckpointHead:
    """What stands beside the weights.

    Attributes:
        config: The experiment whose model it is.
        epoch: Epochs completed.
        metrics: Validation metrics of these weights, those that are numbers; none before the first validation.
        data_fingerprint: Of the validation annotations that they were measured on; "" is unknown.
    """

    config: ExperimentConfig
    epoch: int
    metrics: Mapping[str, float]
    data_fingerprint: str


def config_in_checkpoint(path: Path) -> ExperimentConfig:
    """The experiment whose model is stored at ``path``.

    Raises:
        CheckpointError: As :func:`head_of_checkpoint`.
    """
    return head_of_checkpoint(path).config


def head_of_checkpoint(path: Path) -> CheckpointHead:
    """What the checkpoint at ``path`` says beside its weights.

    Raises:
        CheckpointError: It cannot be read, or is no checkpoint of this tool. Whether it is whole is seen when it is
            loaded.
    """
    instead = instead_of(path)
    if instead is not None:
        raise CheckpointError(f"checkpoint {path}: {instead}")
    try:
        payload = read_archive_head(path)
        config = build_config(payload["config"], source=f"checkpoint {path}")
        metrics = {str(name): value for name, value in payload.get("metrics", {}).items() if _is_number(value)}
        return CheckpointHead(config, payload.get("epoch", 0), metrics, payload.get("data_fingerprint", ""))
    except OSError as error:
        raise CheckpointError(f"checkpoint {path}: {error.strerror}; give the path of a .pth file") from error
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path}: damaged, or not a checkpoint of this tool ({error})") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)
