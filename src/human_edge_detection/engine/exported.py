"""Opens exported files, with the errors of this package."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.errors import ConfigError
from human_edge_detection.runs.model_facts.external_teacher import own_errors as own_errors
from human_edge_prediction import AdapterError, open_model
from human_edge_prediction.models.own import OURS, OwnModel


def open_exported(path: Path, *, threads: int | None = None) -> OwnModel:
    """The model of a file that this tool exported.

    Args:
        path: Of any format that ``human_edge_prediction`` opens.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        CheckpointError: It is missing or damaged, or no such file.
        ConfigError: It was not exported by this tool, or its runtime is not installed.
    """
    try:
        with own_errors():
            model = open_model(path, threads=threads)
    except ConfigError as error:
        if isinstance(error.__cause__, AdapterError):
            raise ConfigError(
                f"{path} was not exported by {OURS}; give a file of hed export (hed benchmark scores models of others)"
            ) from error
        raise
    assert isinstance(model, OwnModel)  # any other one takes an adapter
    return model
