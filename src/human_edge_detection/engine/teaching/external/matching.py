"""Which person of the annotations each person of a teacher is: by the overlap of their masks, as COCO's metrics do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.annotations.polygons_and_rle import PlacedMask, Segmentation, compress
from human_edge_detection.engine.teaching.external.answers import Instance, ProbabilityMap
from human_edge_prediction.resampling import resize

MIN_IOU: Final = 0.5
"""Below this two masks are not of one person: COCO's lowest threshold."""
_LIKELY: Final = 0.5
"""Probability above which a pixel belongs to a person."""


class Match(NamedTuple):
    """The instance that is a person of the annotations: its position, and the IoU of the two masks."""

    instance: int
    iou: float


class Matches(NamedTuple):
    """How the instances of an image fit its annotations.

    Attributes:
        of: By annotation id; persons whom no instance matches are missing.
        strangers: Positions of the instances that match no person and do not lie in a region that nobody annotated one
            by one.
    """

    of: Mapping[int, Match]
    strangers: tuple[int, ...]


def match_instances(instances: Sequence[Instance], record: AnnotatedImage) -> Matches:
    """Matches greedily: the surest instance first, each with the person that it overlaps most and that is still free.

    An instance that the teacher was asked for by annotation id can only be this person, and only above the same IoU.
    """
    size = (record.height, record.width)
    persons = [placed_mask(person.segmentation, *size) for person in record.persons] if instances else []
    masks = [_mask(instance.map, size) for instance in instances]
    free = {person.id: number for number, person in enumerate(record.persons)}
    matches: dict[int, Match] = {}
    unmatched = []
    for position in sorted(range(len(instances)), key=lambda position: -instances[position].score):
        asked = instances[position].annotation_id
        candidates = free if asked is None else {asked} & free.keys()
        ious = {number: _iou(masks[position], persons[free[number]]) for number in candidates}
        best = max(ious, key=ious.__getitem__, default=None)
        if best is not None and ious[best] >= MIN_IOU:
            matches[best] = Match(position, ious[best])
            del free[best]
        else:
            unmatched.append(position)
    crowds = [placed_mask(crowd.segmentation, *size) for crowd in record.crowds] if unmatched else []
    return Matches(matches, tuple(sorted(k for k in unmatched if not _is_in_crowd(masks[k], crowds))))


def placed_mask(segmentation: Segmentation, height: int, width: int) -> PlacedMask:
    """A checked, non-empty segmentation inside its box. Quick where there are many runs, and not for huge images, of
    which :func:`~human_edge_detection.data.annotations.polygons_and_rle.decode_inside_box` makes no other pixel.
    """
    rle = compress(segmentation, height, width)
    left, top, columns, rows = (int(value) for value in coco_mask.toBbox(rle))
    mask = coco_mask.decode(rle)[top : top + rows, left : left + columns]
    return PlacedMask(np.ascontiguousarray(mask), top, left)


def in_pixels(map_: ProbabilityMap, size: tuple[int, int]) -> ProbabilityMap:
    """``map_`` on a grid of ``size`` (height, width), the pixels of the image."""
    if map_.size == size:
        return map_
    whole = np.zeros(map_.size, np.float32)
    rows, columns = map_.values.shape
    whole[map_.top : map_.top + rows, map_.left : map_.left + columns] = map_.values
    return ProbabilityMap(np.asarray(resize(whole, size), np.float32), 0, 0, size, map_.is_binary)


def _mask(map_: ProbabilityMap, size: tuple[int, int]) -> PlacedMask:
    """The pixels of the image that an instance likely covers, cut to their box."""
    values, top, left, *_ = in_pixels(map_, size)
    inside = values > _LIKELY
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return PlacedMask(np.zeros((0, 0), np.uint8), 0, 0)
    part = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return PlacedMask(part.astype(np.uint8), top + int(rows[0]), left + int(columns[0]))


def _iou(one: PlacedMask, other: PlacedMask) -> float:
    """Intersection over union of two masks; 0 when neither has a pixel."""
    common = _intersection(one, other)
    union = int(one.mask.sum()) + int(other.mask.sum()) - common
    return common / union if union else 0.0


def _is_in_crowd(mask: PlacedMask, crowds: Sequence[PlacedMask]) -> bool:
    """Whether most of a mask lies in one of these regions: then nobody can say whether it is a person."""
    area = int(mask.mask.sum())
    return any(_intersection(mask, crowd) >= MIN_IOU * area for crowd in crowds) if area else False


def _intersection(one: PlacedMask, other: PlacedMask) -> int:
    """Pixels that two masks share."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom = min(one.top + one.mask.shape[0], other.top + other.mask.shape[0])
    right = min(one.left + one.mask.shape[1], other.left + other.mask.shape[1])
    if top >= bottom or left >= right:
        return 0
    parts: list[NDArray[np.uint8]] = [
        mask.mask[top - mask.top : bottom - mask.top, left - mask.left : right - mask.left] for mask in (one, other)
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))
