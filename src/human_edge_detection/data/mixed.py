"""Images with and without labels, mixed into each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset, Sample

_UNLABELLED_STREAM = 0x1AB


@dataclass(frozen=True)
class MixedDataset(Dataset[Sample]):
    """All labelled images of an epoch, and beside them some of those without labels.

    ``len()`` is the number of images of an epoch; an index tells any of all images, the labelled ones first.

    Attributes:
        labelled: The labelled ones.
        unlabelled: Those without labels, numbered after the labelled ones.
        drawn: So many of these are in an epoch, at most all.
    """

    labelled: PersonDataset
    unlabelled: PersonDataset
    drawn: int

    def __len__(self) -> int:
        return len(self.labelled) + self.drawn

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample for ``key`` = (epoch, index); errors as for :class:`PersonDataset`."""
        return (self.labelled if key[1] < len(self.labelled) else self.unlabelled)[key]

    @property
    def people(self) -> AnnotationSet:
        """The annotations of the labelled ones."""
        return self.labelled.people

    @property
    def teacher_size(self) -> tuple[int, int] | None:
        """As of both parts."""
        return self.labelled.teacher_size

    def indices(self, epoch: int) -> NDArray[np.intp]:
        """The images of an epoch, by index, in no order that matters.

        Those without labels are gone through in an order that follows from the seed, again and again: none comes a
        second time before all were seen.
        """
        count = len(self.unlabelled)
        order = np.random.default_rng((self.labelled.seed, _UNLABELLED_STREAM)).permutation(count)
        drawn = order[(epoch * self.drawn + np.arange(self.drawn)) % count]
        return np.concatenate([np.arange(len(self.labelled)), self.unlabelled.first_index + drawn])


def with_unlabelled(labelled: PersonDataset, people: AnnotationSet, *, ratio: float) -> MixedDataset:
    """``labelled`` with the images of ``people`` beside, whose boxes say where to look; of the same sizes and views.

    Args:
        labelled: The labelled images.
        people: The others.
        ratio: Of these in an epoch for each labelled one.
    """
    unlabelled = PersonDataset(
        people,
        image_size=labelled.image_size,
        mask_size=labelled.mask_size,
        augmentation=labelled.augmentation,
        max_rois=labelled.max_rois,
        seed=labelled.seed,
        teacher_size=labelled.teacher_size,
        cache_views=labelled.cache_views,
        soft_labels=labelled.soft_labels,
        labelled=False,
        first_index=len(labelled),
    )
    return MixedDataset(labelled, unlabelled, drawn_in_epoch(len(labelled), len(unlabelled), ratio))


def labelled_part(dataset: PersonDataset | MixedDataset) -> PersonDataset:
    """The images of which the truth is known."""
    return dataset.labelled if isinstance(dataset, MixedDataset) else dataset


def drawn_in_epoch(labelled: int, unlabelled: int, ratio: float) -> int:
    """How many of ``unlabelled`` images an epoch has beside ``labelled`` ones: at least one, at most all."""
    return min(max(round(ratio * labelled), 1), unlabelled)
