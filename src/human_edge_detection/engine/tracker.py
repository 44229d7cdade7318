"""Sends what a run writes down to a tracker as well: ``trackio``, or ``wandb``, which has the same calls.

Neither is a dependency. ``trackio`` keeps all on this machine; what ``wandb`` does is up to its own settings.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image
from pydantic import TypeAdapter

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.strict_json import read_json
from human_edge_detection.files.write import write_json

logger = logging.getLogger(__name__)

PROJECT: Final = "human-edge-detection"
"""Unless ``TRACKIO_PROJECT`` or ``WANDB_PROJECT`` names another."""
_NAMES: Final[TypeAdapter[dict[str, str]]] = TypeAdapter(dict[str, str])


class Tracker:
    """One tracked run. Whatever goes wrong is a warning: it is then left alone until the next epoch.

    Args:
        kind: The package, ``trackio`` or ``wandb``.
        config: Of the run.
        name: Of the run, for people.
        memory: File in which the run remembers what it is called there, so that it goes on under the same name.
    """

    def __init__(self, kind: str, config: ExperimentConfig, *, name: str, memory: Path) -> None:
        self._kind = kind
        self._config = config
        self._name = name
        self._memory = memory
        self._module: Any = None
        self.open()

    def open(self) -> None:
        """Begins, or goes on, unless it has."""
        if self._module is None:
            self._send(self._init)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends values under their names, but for ``step``, which both have a meaning of their own for."""
        if self._module is not None:
            told = {name: value for name, value in values.items() if name != "step"}
            self._send(lambda: self._module.log(told, step=step))

    def figure(self, step: int, name: str, png: bytes) -> None:
        """Sends an RGB image, a PNG."""
        if self._module is not None:
            self._send(lambda: self._module.log({name: self._module.Image(Image.open(io.BytesIO(png)))}, step=step))

    def close(self) -> None:
        """Waits until all is sent."""
        if self._module is not None:
            self._send(lambda: self._module.finish())

    def _init(self) -> None:
        name = f"{self._name} {self._id()}"
        module = importlib.import_module(self._kind)
        told = {"name": name, "config": self._config.model_dump(mode="json"), "resume": "allow"}
        if self._kind == "wandb":
            told["id"] = self._id()
        module.init(project=os.environ.get(f"{self._kind.upper()}_PROJECT", PROJECT), **told)
        self._module = module

    def _id(self) -> str:
        """What tells this run from others of its name."""
        try:
            return read_json(_NAMES, self._memory)["id"]
        except (OSError, ValueError, KeyError):
            found = uuid.uuid4().hex[:8]
            write_json(self._memory, {"id": found})
            return found

    def _send(self, action: Callable[[], object]) -> None:
        try:
            # What it says of itself would end up in what our command says.
            with contextlib.redirect_stdout(io.StringIO()):
                action()
        except Exception as error:  # it is others' code, with errors of any kind, and no run may end by it
            self._module = None
            problem = " ".join(str(error).split()) or type(error).__name__
            logger.warning("%s: what it was to get of this epoch is lost: %s", self._kind, problem)
            logger.debug("%s", self._kind, exc_info=error)


def open_tracker(config: ExperimentConfig, *, name: str, log_dir: Path) -> Tracker | None:
    """The tracker that ``config`` wants beside TensorBoard; None: none.

    Args:
        config: Of the run.
        name: Of the run.
        log_dir: The folder of its logs.
    """
    kind = config.training.tracker
    return None if kind == "tensorboard" else Tracker(kind, config, name=name, memory=log_dir / "tracked_run.json")
