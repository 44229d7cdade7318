"""The counts of a run as columns that add up over images, and the slices of the data that are looked at."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.metrics.scores import METRICS, ROI_METRICS, MetricCounts, Scores, scores
from human_edge_detection.runs.per_image import PerImage, PersonSize

Columns = NDArray[np.float64]

_SIZES: Final[tuple[PersonSize, ...]] = ("small", "medium", "large")
_CROWDING: Final = ("nobody", "1 person", "2-3 persons", "4+ persons")
CROWDING_GROUPS: Final = len(_CROWDING)
_MAX_PERSONS: Final = (0, 1, 3)
"""On an image of each group of ``_CROWDING`` but the last."""
_ROI_COLUMNS: Final = 9 + 2 + 2
"""Of each size: confusion, then sum and number of target IoU and of boundary F1."""
COLUMNS: Final = len(_SIZES) * _ROI_COLUMNS + 4
"""After the sizes: the confusion of the full image."""


class Slice(NamedTuple):
    """A part of the data.

    Attributes:
        name: As reports have it.
        crowding: The groups of images that belong to it.
        sizes: The sizes of persons that belong to it.
        metrics: What can be said of it; a full image cannot be divided by the sizes of its persons.
    """

    name: str
    crowding: tuple[int, ...]
    sizes: tuple[int, ...]
    metrics: tuple[str, ...]


_ALL_CROWDING: Final = tuple(range(CROWDING_GROUPS))
_ALL_SIZES: Final = tuple(range(len(_SIZES)))
ALL: Final = Slice("all", _ALL_CROWDING, _ALL_SIZES, METRICS)
SLICES: Final = (
    ALL,
    *(Slice(size, _ALL_CROWDING, (number,), ROI_METRICS) for number, size in enumerate(_SIZES)),
    *(Slice(name, (number,), _ALL_SIZES, METRICS) for number, name in enumerate(_CROWDING) if number),
)


def columns_of(counts: PerImage) -> Columns:
    """``(images, COLUMNS)`` float64, whose sums over images the metrics follow from; exact for all counts.

    Images are sorted by id, so what is drawn at random does not depend on the order of the file.
    """
    images, rois = counts.images, counts.rois
    place = {image_id: row for row, image_id in enumerate(sorted(images.id))}
    by_size = np.zeros((len(images.id), len(_SIZES), _ROI_COLUMNS))
    where = (
        np.array([place[image_id] for image_id in rois.image], np.intp),
        np.array([_SIZES.index(size) for size in rois.size], np.intp),
    )
    confusion = np.array(rois.confusion, np.float64).reshape(-1, 9)
    values = np.hstack([confusion, _sum_and_number(rois.target_iou), _sum_and_number(rois.boundary_f1)])
    np.add.at(by_size, where, values)
    full_image = np.array(images.confusion, np.float64).reshape(-1, 4)[np.argsort(images.id)]
    return np.hstack([by_size.reshape(len(images.id), -1), full_image])


def crowding_of(counts: PerImage) -> NDArray[np.intp]:
    """``(images,)`` the group of each image, sorted by id: nobody, 1, 2-3, or 4 and more persons."""
    persons = np.array(counts.images.persons, np.intp)[np.argsort(counts.images.id)]
    return np.searchsorted(_MAX_PERSONS, persons)


def group_sums(columns: Columns, crowding: NDArray[np.intp]) -> Columns:
    """``(groups, COLUMNS)``: the sums over the images of each group."""
    return np.stack([columns[crowding == group].sum(axis=0) for group in _ALL_CROWDING])


def scores_of(part: Slice, sums: NDArray[Any]) -> dict[str, Scores]:
    """The metrics of one slice, ``(...)`` float64 each, from ``(..., groups, COLUMNS)``."""
    pooled = sums[..., list(part.crowding), :].sum(axis=-2)
    rois = pooled[..., :-4].reshape(*pooled.shape[:-1], len(_SIZES), _ROI_COLUMNS)
    rois = rois[..., list(part.sizes), :].sum(axis=-2)
    values = scores(
        MetricCounts(
            roi_confusion=rois[..., :9].reshape(*rois.shape[:-1], 3, 3),
            image_confusion=pooled[..., -4:].reshape(*pooled.shape[:-1], 2, 2),
            target_iou=rois[..., 9:11],
            boundary_f1=rois[..., 11:13],
        )
    )
    return {name: values[name] for name in part.metrics}


def image_scores(part: Slice, columns: Columns, crowding: NDArray[np.intp]) -> dict[str, Scores]:
    """The metrics of each image alone, ``(images,)``; NaN for one that has nothing of the slice on it."""
    own_group = np.arange(len(_CROWDING)) == crowding[:, None]
    return scores_of(part, own_group[:, :, None] * columns[:, None, :])


def _sum_and_number(values: tuple[float | None, ...]) -> Columns:
    """``(rois, 2)``: the value and 1, or zeros where there is none."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    return np.stack([np.nan_to_num(numbers), np.isfinite(numbers)], axis=1)
