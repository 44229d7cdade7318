"""Files to measure: those that are given, and exports of checkpoints and experiments at each size that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from human_edge_detection.benchmarking.records import Size
from human_edge_detection.benchmarking.sources import Source
from human_edge_detection.engine.exported import own_errors
from human_edge_detection.files.write import write_atomically
from human_edge_detection.runs.artifacts import is_exported
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_prediction import Model, open_model
from human_edge_prediction.models.own import OwnModel
from human_edge_prediction.runtimes import CPU

logger = logging.getLogger(__name__)

Weights = Literal["trained", "random", "foreign"]
_SEED: Final = 0
"""Of random weights."""


@dataclass(frozen=True)
class Artefact:
    """A file that is measured.

    Attributes:
        model: Name of its source.
        path: The file.
        adapter: Its description when it is not ours.
        weights: ``random`` of an experiment that was not trained, ``foreign`` of a file that is not ours.
        image_size: (height, width) of the image that it takes.
        kind: What it gives.
        takes_rois: Whether its time depends on the number of rois.
    """

    model: str
    path: Path
    adapter: Mapping[str, Any] | None
    weights: Weights
    image_size: Size
    kind: str
    takes_rois: bool

    def open(self, *, provider: str = CPU, threads: int | None = None) -> Model:
        """The model, ready to run.

        Raises:
            PredictionError: It cannot be opened.
        """
        return open_model(self.path, adapter=self.adapter, provider=provider, threads=threads)


def make_artefacts(source: Source, sizes: Sequence[Size] | None, folder: Path) -> list[Artefact]:
    """The files of one model; one that is given is itself, whatever sizes are asked for.

    Args:
        source: The model.
        sizes: (height, width) of the images; None: its own.
        folder: Where exports go.

    Raises:
        ConfigError: A file cannot be used, or its adapter.
        CheckpointError: A checkpoint or a model file is damaged.
    """
    if source.file is None:
        return _exports(source, sizes, folder)
    with own_errors():
        model = open_model(source.file, adapter=source.adapter)
    return [_artefact(source, source.file, model)]


def _artefact(source: Source, path: Path, model: Model) -> Artefact:
    weights: Weights = "trained" if isinstance(model, OwnModel) else "foreign"
    if source.file is None and source.checkpoint is None:
        weights = "random"
    return Artefact(source.name, path, source.adapter, weights, model.input.size, model.kind, model.takes_rois)


def _exports(source: Source, sizes: Sequence[Size] | None, folder: Path) -> list[Artefact]:
    """An export for each size; that of the run, where it has one of this size."""
    from human_edge_detection.exporters.onnx import export_unchecked

    assert source.config is not None  # of what is no file
    own = source.config.model
    network = None
    found = []
    for size in sizes or [own.image_size]:
        path = None if source.checkpoint is None or size != own.image_size else _export_of_run(source.checkpoint)
        if path is None:
            network = network or _network(source)
            path = folder / f"{len(list(folder.iterdir()))}.onnx"
            logger.info("exporting %s at %s", source.name, shown_size(size))
            write_atomically(path, export_unchecked(network, own.model_copy(update={"image_size": size})))
        with own_errors():
            found.append(_artefact(source, path, open_model(path)))
    return found


def _export_of_run(checkpoint: Path) -> Path | None:
    """The ONNX file beside a run's best checkpoint, when it is of just these weights."""
    run = run_paths_of_checkpoint(checkpoint)
    return run.onnx if checkpoint.resolve() == run.best and is_exported(run) else None


def _network(source: Source) -> Any:
    """The trained network, or one with random weights."""
    import torch

    from human_edge_detection.engine.build import build_model
    from human_edge_detection.engine.checkpoints.load import load_trained

    if source.checkpoint is not None:
        return load_trained(source.checkpoint).model
    assert source.config is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build_model(source.config.model)


def shown_size(size: Size) -> str:
    """``"256x192"``: height, then width."""
    return f"{size[0]}x{size[1]}"
