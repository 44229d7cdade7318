"""How batches get to a device: by how many processes, through which memory, and how many images at once."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.limits import place_among_many, usable_cores

_MOST_WORKERS: Final = 12
"""More take memory and open files; whether so many keep up with a GPU is for ``benchmarks/gpu_check.py`` to say."""
_VALIDATION_IMAGES: Final = {"cpu": 4, "cuda": 32}
"""Without gradients more images fit in memory than the training batch of a small machine."""
_VALIDATION_PIXELS: Final = 32 * 256**2
"""So large a batch of the validation may be, unless that of the training is larger, which the user can lower."""


class Loading(NamedTuple):
    """How batches are made and handed over.

    Attributes:
        workers: Processes that make batches; 0: this one does.
        pin: Batches wait in page-locked memory, from which a copy to a GPU needs no waiting.
        batch_size: Images in a batch of the training.
        validation_images: In a batch of the validation, where they are small.
    """

    workers: int
    pin: bool
    batch_size: int
    validation_images: int = 4

    def validation_batch(self, image_size: tuple[int, int]) -> int:
        """Images of ``image_size`` (height, width) in a batch of the validation; no metric depends on it."""
        height, width = image_size
        return max(self.batch_size, min(self.validation_images, _VALIDATION_PIXELS // (height * width)))


def loading_for(device: torch.device, workers: int | None, *, batch_size: int = 1) -> Loading:
    """How batches get to ``device``.

    Args:
        device: Where they go.
        workers: Processes that the user wants; None: one for a CPU, whose cores have the training to do; for a GPU one
            less than there are cores, and 12 at most; processes that train one run together share the cores.
        batch_size: Images in a batch of the training.
    """
    if workers is None:
        place = place_among_many()
        cores = usable_cores() / (place.local_total if place is not None else 1)
        workers = 1 if device.type == "cpu" else max(1, min(int(cores) - 1, _MOST_WORKERS))
    return Loading(workers, device.type == "cuda", batch_size, _VALIDATION_IMAGES.get(device.type, 4))


def loading_of(config: ExperimentConfig, device: torch.device) -> Loading:
    """How the batches of a run get to ``device``."""
    return loading_for(device, config.data.num_workers, batch_size=config.training.batch_size)
