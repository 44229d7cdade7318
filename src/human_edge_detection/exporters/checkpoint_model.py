"""A checkpoint in the place of the files that would be exported from it, computed by PyTorch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from human_edge_detection.engine.checkpoints.load import TrainedModel, load_trained
from human_edge_detection.experiments.schema.model import DetectorConfig
from human_edge_detection.exporters.exportable import ExportableDetector, ExportableStudent
from human_edge_prediction.models.own import OwnModel
from human_edge_prediction.runtimes import TensorInfo

PYTORCH = "PyTorch"


class CheckpointRuntime:
    """What of :class:`human_edge_prediction.runtimes.Runtime` a checkpoint is for the models of that package.

    Attributes:
        inputs: That it takes.
        outputs: That it gives.
        provider: What computes.
        metadata: What an exported file would say of itself, as far as predictions depend on it.
    """

    def __init__(
        self, module: ExportableStudent | ExportableDetector, trained: TrainedModel, *, threads: int | None
    ) -> None:
        """The outputs of ``module``, which has the weights of ``trained``, on the CPU."""
        config = trained.checkpoint.config.model
        self._module, self._threads = module.eval(), threads
        self._min_score: float | None = None
        self.provider = PYTORCH
        self.metadata: Mapping[str, str] = {"checkpoint_sha256": trained.sha256}
        takes_rois = isinstance(module, ExportableStudent) and module.has_rois
        images = TensorInfo("images", (None, 3, *config.image_size), "float32")
        self.inputs = (images, TensorInfo("rois", (None, 5), "float32")) if takes_rois else (images,)
        shapes: dict[str, tuple[int | None, ...]] = {
            "boxes": (None, 5),
            "scores": (None,),
            "masks": (None, 3, *config.mask_size),
            "binary_masks": (None, 1, *config.image_size),
        }
        self.outputs = tuple(TensorInfo(name, shapes[name], "float32") for name in module.outputs)
        if isinstance(module, ExportableDetector):
            assert config.detector is not None
            self._min_score = config.detector.min_score
            self.metadata = {**self.metadata, "min_score": json.dumps(self._min_score)}

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs, in their order, for an array for each input."""
        arguments = [torch.from_numpy(feeds[info.name]) for info in self.inputs]
        if self._min_score is not None:
            arguments.append(torch.tensor(self._min_score))
        with _threads(self._threads):
            outputs = self._module(*arguments)
        return [output.numpy() for output in outputs]


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """PyTorch computes with ``count`` threads; None: with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def open_checkpoint(path: Path, *, threads: int | None = None) -> OwnModel:
    """The model of a checkpoint, which gives what its exported files would give, within their parity's tolerances.

    Args:
        path: A ``.pth`` of this tool.
        threads: As many compute; None: as PyTorch likes.

    Raises:
        CheckpointError: The checkpoint cannot be used.
    """
    trained = load_trained(path)
    detector = trained.checkpoint.config.model.detector
    runtime = CheckpointRuntime(ExportableStudent(trained.model), trained, threads=threads)
    if detector is None:
        return OwnModel(path, runtime)
    return OwnModel(path, runtime, open_finder=partial(_finder, trained, detector, threads))


def _finder(trained: TrainedModel, detector: DetectorConfig, threads: int | None) -> OwnModel:
    module = ExportableDetector(trained.model, max_persons=detector.max_persons)
    return OwnModel(trained.path, CheckpointRuntime(module, trained, threads=threads))
