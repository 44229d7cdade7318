"""Stored soft labels with the images and the truth that they are to, for a training of one's own."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import Dataset

from human_edge_detection.data.dataset import PersonDataset, Sample
from human_edge_detection.data.mixed import MixedDataset
from human_edge_detection.engine.build import build_training_set, read_splits
from human_edge_detection.engine.teaching.soft_labels import SoftLabelMetadata, open_soft_labels
from human_edge_detection.engine.teaching.unlabelled import read_unlabelled
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import scan_cache


class SoftLabelDataset(Dataset[Sample]):
    """Every view of every training image, view after view: image, truth, and soft labels; then those without labels.

    An item is a :class:`~human_edge_detection.data.dataset.Sample`: ``image (3, IH, IW)`` uint8 RGB, ``boxes (n, 4)``,
    the truth as ``roi_masks (n, H, W)`` and ``person_mask (IH, IW)``, and ``soft_labels``, float16 logits by head,
    ``(n, C, H, W)`` or ``(1, C, H, W)``, NaN where the teacher says nothing.
    :func:`~human_edge_detection.data.dataset.collate` makes a batch of items.

    Attributes:
        metadata: What the soft labels are to: teacher, classes of each head, data, sizes, coverage.
    """

    def __init__(self, images: PersonDataset | MixedDataset, metadata: SoftLabelMetadata) -> None:
        """The views of ``images``, which yield soft labels."""
        self._images = images
        self.metadata = metadata

    def __len__(self) -> int:
        return self.metadata.images * self.metadata.key.cache_views

    def __getitem__(self, number: int) -> Sample:
        """Image ``number % images`` in view ``number // images``.

        Raises:
            IndexError: There is no such item.
            DataError: An image or a part of the soft labels is missing or damaged.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"item {number} of {len(self)}")
        return self._images[divmod(number, self.metadata.images)]


def load_dataset(config: ExperimentConfig, *, sample_root: Path) -> SoftLabelDataset:
    """The soft labels that ``config`` names, with its training images.

    Args:
        config: The training.
        sample_root: Where the embedded sample data are, or will be made.

    Raises:
        ConfigError: It names no folder of soft labels, or they are not there, not finished, or to something else.
        DataError: Data or soft labels are missing or damaged.
    """
    splits = read_splits(config.data, sample_root, seed=config.training.seed, scan_cache=scan_cache(config.data))
    unlabelled = read_unlabelled(config.data, splits)
    stored = open_soft_labels(config, splits, unlabelled)
    if stored is None:
        raise ConfigError(f"{config.name}: distillation.soft_labels is not set; give the folder of hed soft-labels")
    unlabelled = stored.located(unlabelled)
    people = unlabelled.people if unlabelled else None
    images = build_training_set(config, splits.train, soft_labels=stored, unlabelled=people)
    return SoftLabelDataset(images, stored.metadata)
