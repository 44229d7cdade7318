"""How batches get to a device: by how many processes, through which memory, and how many images at once."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.limits import usable_cores

_MOST_WORKERS: Final = 12
"""More take memory and open files; whether so many keep up with a GPU is for ``benchmarks/gpu_check.py`` to say."""
_VALIDATION_BATCH: Final = {"cpu": 4, "cuda": 32}
"""Without gradients more images fit in memory than the training batch of a small machine."""


class Loading(NamedTuple):
    """How batches are made and handed over.

    Attributes:
        workers: Processes that make batches; 0: this one does.
        pin: Batches wait in page-locked memory, from which a copy to a GPU needs no waiting.
        validation_batch: Images in a batch of the validation; no metric depends on it.
    """

    workers: int
    pin: bool
    validation_batch: int


def loading_for(device: torch.device, workers: int | None, *, batch_size: int = 1) -> Loading:
    """How batches get to ``device``.

    Args:
        device: Where they go.
        workers: Processes that the user wants; None: one for a CPU, whose cores have the training to do; for a GPU one
            less than there are cores, and 12 at most.
        batch_size: Images in a batch of the training.
    """
    if workers is None:
        workers = 1 if device.type == "cpu" else max(1, min(int(usable_cores()) - 1, _MOST_WORKERS))
    return Loading(workers, device.type == "cuda", max(batch_size, _VALIDATION_BATCH.get(device.type, 4)))


def loading_of(config: ExperimentConfig, device: torch.device) -> Loading:
    """How the batches of a run get to ``device``."""
    return loading_for(device, config.data.num_workers, batch_size=config.training.batch_size)
