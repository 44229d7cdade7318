"""Equal outlines: hashes of the polygons of each annotation, and what they say of persons that are given twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.columns import AnnotationColumns

_MIN_POINTS = 6
"""Outlines of fewer points, such as rectangles, can be equal by chance."""


def outline_hashes(packed: AnnotationColumns) -> NDArray[np.uint64]:
    """``(m,)`` hashes of the polygons of each annotation: equal for equal outlines, 0 for outlines of few points."""
    # 1. A hash of each coordinate, weighted by an odd number that follows from its position in the polygon.
    lengths = np.diff(packed.polygon_offsets)
    if not len(lengths):
        return np.zeros(len(packed.annotation_ids), np.uint64)
    place = np.arange(len(packed.points), dtype=np.uint64) - np.repeat(packed.polygon_offsets[:-1], lengths).astype(
        np.uint64
    )
    with np.errstate(over="ignore"):
        weights = _mixed(place) | np.uint64(1)
        points = np.ascontiguousarray(packed.points + 0.0).view(np.uint64)  # + 0.0: no negative zero
        values = _mixed(points[:, 0]) * weights + _mixed(points[:, 1] + np.uint64(1)) * (weights >> np.uint64(1))
        # 2. Summed over the points of each polygon, then over the polygons of each annotation.
        polygons = _mixed(np.add.reduceat(values, packed.polygon_offsets[:-1]))
    flat, owners, counts = polygons_of(packed)
    hashes, points_of = np.zeros(len(counts), np.uint64), np.bincount(owners, lengths[flat], len(counts))
    starts = np.cumsum(counts) - counts
    has = counts > 0
    with np.errstate(over="ignore"):
        hashes[has] = np.add.reduceat(polygons[flat], starts[has]) if has.any() else 0
    return np.where(points_of >= _MIN_POINTS, hashes, np.uint64(0))


def owners_of(packed: AnnotationColumns) -> NDArray[np.int64]:
    """``(m,)`` position of the image of each annotation."""
    return np.repeat(np.arange(len(packed.image_ids)), np.diff(packed.first_persons))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64: spreads the bits of each value."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def polygons_of(packed: AnnotationColumns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of all polygons in the order of the annotations, their annotations, and how many each annotation has."""
    first, end = packed.polygons.T
    counts = end - first
    owners = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts) + first[owners], owners, counts


def repeated(packed: AnnotationColumns) -> NDArray[np.int64]:
    """The numbers of annotations whose outline an earlier annotation on the same image has."""
    hashes = outline_hashes(packed)
    known = np.flatnonzero(hashes)
    keys = np.stack([owners_of(packed)[known].astype(np.uint64), hashes[known]], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return np.delete(known, first)
