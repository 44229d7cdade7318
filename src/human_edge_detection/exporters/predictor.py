"""``hed.Predictor``: persons and their masks on images; PyTorch is imported only for a run or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import human_edge_prediction
from human_edge_detection.errors import ConfigError
from human_edge_detection.runs.lookup.find import best_checkpoints
from human_edge_prediction import Adapter, ArgumentError, Model
from human_edge_prediction.predictor import MAX_ROIS
from human_edge_prediction.runtimes import CPU
from human_edge_prediction.suffixes import MODEL_SUFFIXES


class Predictor(human_edge_prediction.Predictor):
    """Finds the persons on an image, and their masks; with exported files, and with runs and checkpoints by PyTorch.

    ``human_edge_prediction.Predictor``, which needs no torch and takes exported files, gives the same.

    Attributes:
        model: Makes the masks.
        detector: Finds the boxes where none are given; None: they are the connected parts of the person map.

    Example:
        prediction = hed.Predictor("quickstart_student_b0")("image.jpg", boxes=[[10, 20, 90, 180]])
        print(len(prediction), prediction.scores)
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        detector: str | Path | Model | None = None,
        adapter: Adapter | Mapping[str, Any] | None = None,
        detector_adapter: Adapter | Mapping[str, Any] | None = None,
        min_score: float | None = None,
        max_rois: int = MAX_ROIS,
        threads: int | None = None,
        provider: str = CPU,
        output_dir: str | Path = "experiments",
    ) -> None:
        """Opens the model, and what finds the boxes.

        Args:
            model: ``.onnx``, ``.tflite`` or ``.xml``, or an open model; or name of a run below ``output_dir``, a run
                folder, or a checkpoint (``.pth``).
            detector: As of ``human_edge_prediction.Predictor``, as all that follow.
            adapter: Alike.
            detector_adapter: Alike.
            min_score: Alike.
            max_rois: Alike.
            threads: Alike.
            provider: Alike; PyTorch computes on the CPU.
            output_dir: Folder of all runs.

        Raises:
            PredictionError: As there.
            ConfigError: There is no such run, or there are several seeds.
            CheckpointError: It has no checkpoint yet, or one that is damaged.
        """
        super().__init__(
            model if isinstance(model, Model) else _opened(model, adapter, provider, threads, Path(output_dir)),
            detector=detector,
            adapter=adapter,
            detector_adapter=detector_adapter,
            min_score=min_score,
            max_rois=max_rois,
            threads=threads,
            provider=provider,
        )


def _opened(
    model: str | Path, adapter: object, provider: str, threads: int | None, output_dir: Path
) -> str | Path | Model:
    """An exported file, as it is; the best weights of a run, or a checkpoint, in PyTorch."""
    if Path(model).suffix in MODEL_SUFFIXES:
        return model
    if adapter is not None:
        raise ArgumentError(f"adapter: {model} is a run or a checkpoint, which needs none; leave it out")
    if provider != CPU:
        raise ArgumentError(f"provider {provider}: is of ONNX Runtime, and {model} runs in PyTorch; export it first")
    checkpoints = best_checkpoints(model, output_dir)
    if len(checkpoints) > 1:
        raise ConfigError(f"{model}: {len(checkpoints)} runs of several seeds; give the folder of one of them")

    from human_edge_detection.exporters.checkpoint_model import open_checkpoint

    return open_checkpoint(checkpoints[0], threads=threads)
