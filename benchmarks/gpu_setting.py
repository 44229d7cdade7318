"""What the parts of ``gpu_check.py`` share: a folder with teacher and images, the device, and the sizes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch

from human_edge_detection.data.loader import training_batches
from human_edge_detection.engine.precision import Precision, precision_of_gpu
from human_edge_detection.engine.session.prepare import prepare_training
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.structures import Batch

Found = dict[str, Any]
STEPS: Final = 20
"""Of a measurement."""


class Setting:
    """What all parts share: the folder with teacher and images, the device, and the sizes."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.folder: Path = args.folder
        self.device = torch.device(args.device)
        self.name: str = args.device
        self.tiny: bool = args.tiny
        self.report: Callable[[Found], None] = args.report
        self.teacher = self.folder / "teacher.pth"
        self.sample = self.folder / "sample"

    @property
    def halves(self) -> tuple[Precision, ...]:
        """The kinds of half precision that the device has units for."""
        if self.device.type == "cpu":
            return ("bf16",)
        best = precision_of_gpu(torch.cuda.get_device_capability(self.device))
        return {"bf16": ("bf16", "fp16"), "fp16": ("fp16",), "fp32": ()}[best]  # type: ignore[return-value]

    def config(self, *, batch_size: int, precision: str = "fp32", **training: Any) -> ExperimentConfig:
        """The student, taught; networks are the presets' own, or small ones to try the script."""
        size = 64 if self.tiny else 256
        return build_config(
            {
                "name": "check",
                "data": {"sample": {"train_images": 16 if self.tiny else 256, "val_images": 4 if self.tiny else 32}},
                "model": {
                    "encoder": "mobilenet_v2" if self.tiny else "timm-efficientnet-b0",
                    "encoder_weights": "none",
                    "image_size": [size, size],
                },
                "distillation": {"teacher_checkpoint": str(self.teacher)},
                "training": {
                    "batch_size": batch_size,
                    "visualize_images": 0,
                    "precision": precision,
                    "device": self.name,
                    **training,
                },
            }
        )

    def trainer(self, config: ExperimentConfig, name: str) -> Trainer:
        """A trainer before its first step, in a folder of its own."""
        paths = RunPaths(self.folder / name)
        trainer = prepare_training(config, paths, resume=None, sample_root=self.sample)
        trainer.progress.batch = 1  # the first step of an epoch also measures the shares of the gradient
        return trainer

    def batches(self, trainer: Trainer, count: int, *, workers: int = 0) -> list[Batch]:
        """The first batches of an epoch, on the host."""
        return list(islice(stream(trainer, workers), count))

    def wait(self) -> None:
        """Until the device has done what was queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def stream(trainer: Trainer, workers: int) -> Any:
    settings = trainer.parts.config.training
    return training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=0,
        start_epoch=0,
        start_batch=0,
        epochs=1000,
        num_workers=workers,
        pin=trainer.parts.loading.pin,
    )
