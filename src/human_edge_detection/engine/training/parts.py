"""What a run trains with and does not change."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from human_edge_detection.data.annotations.annotation_set import BadImage
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import BatchLoader
from human_edge_detection.data.mixed import MixedDataset
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.teaching.distiller import Distiller
from human_edge_detection.engine.training.state import Origin
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.losses.hierarchical import HierarchicalLoss
from human_edge_detection.structures import Batch


@dataclass(frozen=True)
class Parts:
    """What a run trains with and does not change, made by :mod:`human_edge_detection.engine.session.prepare`.

    Attributes:
        config: The experiment, resolved.
        device: Where it trains.
        loading: How batches get there.
        loss: On ground truth.
        distiller: What teaches; None: nobody does.
        training_set: The training images, augmented, and those without labels, where there are any.
        validation: The validation images.
        preview: The validation images that are drawn after each epoch, on the CPU.
        origin: What the run learns from.
        skipped: Images of both splits that were left out.
    """

    config: ExperimentConfig
    device: torch.device
    loading: Loading
    loss: HierarchicalLoss
    distiller: Distiller | None
    training_set: PersonDataset | MixedDataset
    validation: BatchLoader
    preview: Batch | None
    origin: Origin
    skipped: tuple[BadImage, ...] = ()
