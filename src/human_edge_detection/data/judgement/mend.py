"""Mends what is wrong in a whole COCO file in the same way, before its annotations are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.coco import CocoSplit
from human_edge_detection.data.annotations.person_checks import is_box
from human_edge_detection.data.annotations.polygons_and_rle import (
    check_segmentation,
    compress,
    decode_mask,
    is_plain,
    is_rectangle,
    mask_area_and_box,
)
from human_edge_detection.errors import DataError

Unit = Literal["pixels", "fractions", "percent"]
_MOST_PERCENT = 110.0
"""An outline that was drawn carelessly ends a little outside of its image."""
_PARTS: Mapping[str, float] = {"fractions": 1.0, "percent": 100.0}

_Entry = dict[str, Any]


def boxes_from_masks(split: CocoSplit) -> CocoSplit:
    """Without the boxes of annotations that have a mask: the box around the mask takes their place."""
    sizes = _sizes(split)

    def change(entry: _Entry) -> _Entry:
        segmentation, size = entry.get("segmentation"), sizes.get(_key(entry))
        if not segmentation:
            return entry
        if isinstance(segmentation, dict) and size is not None and _is_sound(segmentation, size):
            return {**entry, "bbox": None} if mask_area_and_box(segmentation, *size)[0] else entry
        return {**entry, "bbox": None}

    return _changed(split, change)


def crowds_as_persons(split: CocoSplit) -> CocoSplit:
    """With each crowd region as one person, but rectangles, which stand for persons without a mask."""
    sizes = _sizes(split)

    def change(entry: _Entry) -> _Entry:
        segmentation, size = entry.get("segmentation"), sizes.get(_key(entry))
        if entry.get("iscrowd") != 1:
            return entry
        if isinstance(segmentation, dict) and size is not None and _is_sound(segmentation, size):
            return entry if is_rectangle(compress(segmentation, *size)) else {**entry, "iscrowd": 0}
        return {**entry, "iscrowd": 0}

    return _changed(split, change)


def outlines_in_pixels(split: CocoSplit, unit: Unit) -> CocoSplit:
    """With polygons and boxes in pixels instead of ``unit``; with fractions, only those that lie within 0 and 1.

    Boxes are those around the polygons then, as no box tells its unit. One without a mask is taken to be in ``unit`` if
    it can be.

    Raises:
        DataError: Outlines have coordinates that are no percent.
    """
    sizes = _sizes(split)
    if unit == "percent":
        _check_percent(split)

    def scaled(numbers: list[float], size: tuple[int, int]) -> list[float]:
        factors = size[1] / _PARTS[unit], size[0] / _PARTS[unit]
        return [value * factors[number % 2] for number, value in enumerate(numbers)]

    def change(entry: _Entry) -> _Entry:
        polygons, box, size = entry.get("segmentation"), entry.get("bbox"), sizes.get(_key(entry))
        if size is None:
            return entry
        if not polygons and is_box(box) and max(box[0] + box[2], box[1] + box[3]) <= _PARTS[unit]:
            return {**entry, "bbox": scaled(box, size)}
        if not isinstance(polygons, list) or not polygons or not all(map(is_plain, polygons)):
            return entry
        if unit == "fractions" and not all(0 <= value <= 1 for polygon in polygons for value in polygon):
            return entry
        return {**entry, "segmentation": [scaled(polygon, size) for polygon in polygons], "bbox": None}

    return split if unit == "pixels" else _changed(split, change)


def turned(split: CocoSplit, orientations: Mapping[int, int]) -> CocoSplit:
    """With annotations of images as they are shown, where they were drawn on the images as they are stored.

    Args:
        split: The annotations; height and width are those of the stored pixels.
        orientations: EXIF orientation, 2 to 8, by image id, of the images to turn.
    """
    sizes = _sizes(split)

    def change(entry: _Entry) -> _Entry:
        key = _key(entry)
        if key not in orientations or key not in sizes:
            return entry
        return _turned_annotation(entry, sizes[key], orientations[key])

    changed = _changed(split, change)
    return changed._replace(data={**changed.data, "images": _turned_sizes(split, orientations)})


def sized_as_shown(split: CocoSplit, orientations: Mapping[int, int]) -> CocoSplit:
    """With the sizes of images as they are shown, where only the annotated size is that of the stored pixels.

    Args:
        split: The annotations.
        orientations: EXIF orientation, 2 to 8, by image id, of the images to change.
    """
    return split._replace(data={**split.data, "images": _turned_sizes(split, orientations)})


def _turned_sizes(split: CocoSplit, orientations: Mapping[int, int]) -> list[_Entry]:
    """The entries of images, with width and height exchanged where the orientation turns by 90 degrees."""
    return [
        {**image, "height": image["width"], "width": image["height"]}
        if orientations.get(image.get("id", -1), 1) > 4
        else image
        for image in split.data["images"]
    ]


def _turned_annotation(entry: _Entry, size: tuple[int, int], orientation: int) -> _Entry:
    swaps = orientation > 4
    height, width = size[::-1] if swaps else size
    # As `images.read` turns pixels: a transposition above 4, then a flip.
    flip = orientation - 4 if swaps else orientation
    flips_x, flips_y = flip in (2, 3), flip in (3, 4)

    def turned_points(points: list[float]) -> list[float]:
        x, y = (points[1::2], points[::2]) if swaps else (points[::2], points[1::2])
        x = [width - value for value in x] if flips_x else x
        y = [height - value for value in y] if flips_y else y
        return [value for point in zip(x, y, strict=True) for value in point]

    box = entry.get("bbox")
    if is_box(box):
        x1, y1, x2, y2 = turned_points([box[0], box[1], box[0] + box[2], box[1] + box[3]])
        entry = {**entry, "bbox": [min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)]}
    segmentation = entry.get("segmentation")
    if not segmentation:
        return entry
    if not _is_sound(segmentation, size):  # which the checks of the annotations will say
        is_of_size = isinstance(segmentation, dict) and segmentation.get("size") == list(size)
        return {**entry, "segmentation": {**segmentation, "size": [height, width]}} if is_of_size else entry
    if isinstance(segmentation, dict):
        mask = decode_mask(segmentation, *size)
        mask = mask.T if swaps else mask
        mask = mask[:: -1 if flips_y else 1, :: -1 if flips_x else 1]
        rle = coco_mask.encode(np.asfortranarray(mask))
        return {**entry, "segmentation": {"size": [height, width], "counts": rle["counts"].decode()}}
    return {**entry, "segmentation": [turned_points(polygon) for polygon in segmentation]}


def categories_listed(split: CocoSplit) -> CocoSplit:
    """With the ids that no category has as categories that are not persons, as who chose the persons says."""
    known = {entry.get("id") for entry in split.data["categories"]}
    ids = {entry.get("category_id") for entry in split.data["annotations"]} - known
    others = [{"id": number, "name": f"not person: {number}"} for number in ids]
    return split._replace(data={**split.data, "categories": [*split.data["categories"], *others]})


def without_annotations(split: CocoSplit, ids: set[int]) -> CocoSplit:
    """Without the annotations with these ids."""
    annotations = [entry for entry in split.data["annotations"] if entry.get("id") not in ids]
    return split._replace(data={**split.data, "annotations": annotations})


def _changed(split: CocoSplit, change: Callable[[_Entry], _Entry]) -> CocoSplit:
    data = {**split.data, "annotations": [change(entry) for entry in split.data["annotations"]]}
    return split._replace(data=data)


def _sizes(split: CocoSplit) -> dict[int, tuple[int, int]]:
    """(height, width) by image id, of images that have them."""
    return {
        image["id"]: (image["height"], image["width"])
        for image in split.data["images"]
        if {type(image.get(key)) for key in ("id", "height", "width")} == {int}
    }


def _key(entry: _Entry) -> int:
    image = entry.get("image_id")
    return image if type(image) is int else -1


def _is_sound(segmentation: object, size: tuple[int, int]) -> bool:
    """Whether the checks of the annotations will accept it."""
    try:
        check_segmentation(segmentation, *size)
    except DataError:
        return False
    return True


def _check_percent(split: CocoSplit) -> None:
    """Refuses outlines that reach beyond all images when they are read as percent."""
    ends = [
        max(map(max, polygons))
        for entry in split.data["annotations"]
        if isinstance(polygons := entry.get("segmentation"), list) and polygons and all(map(is_plain, polygons))
    ]
    if beyond := sum(end > _MOST_PERCENT for end in ends):
        raise DataError(
            f"{split.source}: --outlines percent: {beyond} of {len(ends)} outlines have coordinates above 100 (up to "
            f"{max(ends):.0f}), so they are no percent; leave the flag out"
        )
