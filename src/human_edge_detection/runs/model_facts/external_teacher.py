"""A teacher that is a model file: what is said of it, and whether it can teach, before anything starts. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_prediction.description_reader import EXPORTED
from human_edge_prediction.errors import AdapterError, ModelFileError, PredictionError

if TYPE_CHECKING:
    from human_edge_prediction.models.model import Model

_TRIAL_SIZE_PX: Final = 64
_TRIAL_BOX: Final = (0.25, 0.25, 0.75, 0.75)


@contextmanager
def own_errors() -> Iterator[None]:
    """Turns errors of the package for prediction into those of this one.

    Raises:
        CheckpointError: A model file is missing or damaged.
        ConfigError: An adapter is wrong, or a package is missing.
    """
    try:
        yield
    except ModelFileError as error:
        raise CheckpointError(str(error)) from error
    except PredictionError as error:
        raise ConfigError(str(error)) from error


def with_description(config: ExperimentConfig) -> ExperimentConfig:
    """``config`` with what ``<model>.adapter.json`` beside its external teacher says, where the config says nothing.

    Raises:
        ConfigError: The file cannot be read, or is wrong.
    """
    distillation = config.distillation
    if distillation is None or distillation.external_teacher is None or distillation.external is not None:
        return config
    from human_edge_prediction.command.given_adapter import read_description  # slow: most runs have no such teacher

    with own_errors():
        description = read_description("adapter", None, str(distillation.external_teacher))
    if description is None:
        return config
    return derive(
        config, name=config.name, description=config.description, distillation={"external": dict(description)}
    )


def check_external_teacher(config: ExperimentConfig) -> None:
    """Refuses an external teacher that cannot teach ``config``: it is opened, and asked once about a grey image.

    Raises:
        CheckpointError: The file is missing or damaged, or cannot be run.
        ConfigError: Nothing says what it is, its inputs or outputs are others than is said, or it teaches nothing.
    """
    distillation = config.distillation
    if distillation is None or distillation.external_teacher is None:
        return
    path = distillation.external_teacher
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    _check(path, changed, None if distillation.external is None else json.dumps(distillation.external))


@lru_cache(maxsize=16)
def _check(path: Path, changed: int, description: str | None) -> None:
    """As above, once for each state of the file and each description, as text."""
    model = open_external_teacher(path, None if description is None else json.loads(description))
    image = np.full((_TRIAL_SIZE_PX, _TRIAL_SIZE_PX, 3), 128, np.uint8)
    try:
        with own_errors():
            model.predict(image, np.array([_TRIAL_BOX], np.float32) if model.takes_rois else None)
    except ConfigError as error:
        raise ConfigError(f"distillation.external: {path}: {error}") from error


def open_external_teacher(path: Path, description: Mapping[str, Any] | None) -> Model:
    """The model that teaches.

    Args:
        path: Of the file.
        description: As of ``distillation.external``; None: the file says itself what it is.

    Raises:
        CheckpointError: It is missing or damaged.
        ConfigError: Nothing says what it is, or something else than it is; its runtime is not installed; or it gives no
            masks, or finds persons of its own where it could be asked about the true ones.
    """
    from human_edge_prediction.models.open import open_model  # slow, as above
    from human_edge_prediction.models.own import OwnModel, is_own
    from human_edge_prediction.runtimes import open_runtime

    try:
        with own_errors():
            is_described = description is not None and description.get("kind") != EXPORTED
            says_itself = is_described and is_own(open_runtime(path))
            model = None if says_itself else open_model(path, adapter=description)
    except ConfigError as error:
        if isinstance(error.__cause__, AdapterError):
            raise ConfigError(f"distillation.external: {error}") from error
        raise
    if model is None:
        raise ConfigError(
            f"distillation.external: {path} says itself what it is; leave the description out, and "
            f"{path.stem}.adapter.json beside it, if there is one"
        )
    if isinstance(model, OwnModel):
        if model.finds_persons:
            raise ConfigError(
                f"teacher {path}: finds persons itself, and there are the true boxes to ask about; give the file "
                "beside it without .detect in its name"
            )
    elif model.kind == "boxes":
        raise ConfigError(f"teacher {path}: gives boxes and no masks, so it teaches nothing; give another one")
    return model
