"""The config inside a checkpoint file, read without torch and without the weights."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.files.torch_archive_head import read_archive_head
from human_edge_detection.runs.what_to_give import instead_of


def config_in_checkpoint(path: Path) -> ExperimentConfig:
    """The experiment whose model is stored at ``path``.

    Raises:
        CheckpointError: It cannot be read, or is no checkpoint of this tool. Whether it is whole is seen when it is
            loaded.
    """
    instead = instead_of(path)
    if instead is not None:
        raise CheckpointError(f"checkpoint {path}: {instead}")
    try:
        payload = read_archive_head(path)
        return build_config(payload["config"], source=f"checkpoint {path}")
    except OSError as error:
        raise CheckpointError(f"checkpoint {path}: {error.strerror}; give the path of a .pth file") from error
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path}: damaged, or not a checkpoint of this tool ({error})") from error
