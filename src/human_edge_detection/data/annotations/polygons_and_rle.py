"""COCO segmentations: polygons and run lengths, checked before pycocotools sees them.

pycocotools is C code that trusts its input: a coordinate that is not finite, a huge one or run lengths that do not add
up can end the process. So every segmentation is checked here, in Python, once, when the annotations are read.
"""

import math
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.errors import DataError

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons ``[[x, y, x, y, ...], ...]`` in pixels, or run lengths ``{"size": [height, width], "counts": ...}``."""
Box = tuple[float, float, float, float]
"""``x1, y1, x2, y2`` in pixels."""

MAX_OUTLINE = 2**22
"""Longest outline of one annotation, pixels."""
MAX_POLYGONS = 2000
"""Most polygons of one annotation."""
_MAX_SHIFT = 25
"""Six characters of five bits hold any run; pycocotools shifts 32-bit numbers and reads longer ones wrongly."""
_INTEGERS = frozenset({int})
_NUMBERS = frozenset({int, float})
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 60


def check_segmentation(segmentation: object, height: int, width: int) -> Segmentation:
    """The segmentation itself, when it is one that a photograph of this size can have.

    Raises:
        DataError: Saying what is malformed; the caller puts file and annotation before it.
    """
    if isinstance(segmentation, list):
        for number, polygon in enumerate(segmentation):
            _check_polygon(polygon, number, height, width)
        _check_outlines(segmentation, height, width)
        return segmentation
    if isinstance(segmentation, dict):
        _check_run_lengths(segmentation, height, width)
        return segmentation
    raise DataError(f"segmentation is a {type(segmentation).__name__}, expected a list of polygons or an RLE object")


def decode_mask(segmentation: Segmentation, height: int, width: int) -> NDArray[np.uint8]:
    """The pixels of a checked segmentation: ``(height, width)`` uint8, 1 inside and 0 outside."""
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    mask: NDArray[np.uint8] = coco_mask.decode(compress(segmentation, height, width))
    return mask


def mask_area_and_box(segmentation: Segmentation, height: int, width: int) -> tuple[int, Box]:
    """Number of pixels and tight box of a checked segmentation, without unpacking it."""
    if not segmentation:
        return 0, (0.0, 0.0, 0.0, 0.0)
    rle = compress(segmentation, height, width)
    x, y, box_width, box_height = (float(value) for value in coco_mask.toBbox(rle))
    return int(coco_mask.area(rle)), (x, y, x + box_width, y + box_height)


def compress(segmentation: Segmentation, height: int, width: int) -> dict[str, Any]:
    """A checked segmentation that is not empty, as compressed run lengths: ``counts`` is a string or ASCII bytes."""
    if isinstance(segmentation, list):
        parts = coco_mask.frPyObjects(segmentation, height, width)
        merged: dict[str, Any] = coco_mask.merge(parts) if len(parts) > 1 else parts[0]
        return merged
    if isinstance(segmentation["counts"], list):
        packed: dict[str, Any] = coco_mask.frPyObjects(segmentation, height, width)
        return packed
    return segmentation


def is_plain(polygon: object) -> bool:
    """Whether this is a list of numbers that has the length of a polygon, wherever its points may lie."""
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and _NUMBERS.issuperset(map(type, polygon))
    )


def _check_polygon(polygon: object, number: int, height: int, width: int) -> None:
    if not isinstance(polygon, list):
        raise DataError(f"polygon {number} is a {type(polygon).__name__}, expected a list of numbers x, y, x, y, ...")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DataError(f"polygon {number} has {len(polygon)} coordinates, expected an even number of at least 6")
    if not _lies_near(polygon, height, width):
        position, value = next(
            (position, value)
            for position, value in enumerate(polygon)
            if not _is_near(value, height if position % 2 else width)
        )
        raise DataError(
            f"polygon {number} has the coordinate {shorten(value)} at position {position}, expected a number of "
            f"pixels in or near the photograph of {width} x {height}"
        )


def _lies_near(polygon: list[Any], height: int, width: int) -> bool:
    """Whether :func:`_is_near` holds for all coordinates, asked of the extremes alone: five times as quick."""
    if not _NUMBERS.issuperset(map(type, polygon)):
        return False
    x, y = polygon[::2], polygon[1::2]
    if not (-width <= min(x) and max(x) <= 2 * width and -height <= min(y) and max(y) <= 2 * height):
        return False
    return not math.isnan(sum(polygon))  # min and max pass over NaN


def _is_near(value: object, side: int) -> bool:
    """Whether this is a number within one photograph's side of the photograph; false for NaN and infinities."""
    return isinstance(value, int | float) and type(value) in _NUMBERS and -side <= value <= 2 * side


def _check_outlines(polygons: list[list[float]], height: int, width: int) -> None:
    """Bounds the memory and time of pycocotools: five points for each pixel of outline, each polygon merged anew."""
    if len(polygons) > MAX_POLYGONS:
        raise DataError(f"segmentation has {len(polygons)} polygons, expected at most {MAX_POLYGONS}; write RLE")
    if sum(map(len, polygons)) * 1.5 * max(height, width) <= MAX_OUTLINE:  # no edge is longer than three sides
        return
    length = 0.0
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        length += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
    if length > MAX_OUTLINE:
        raise DataError(f"outlines are {length:.0f} pixels long, expected at most {MAX_OUTLINE}; write RLE")


def _check_run_lengths(rle: dict[str, Any], height: int, width: int) -> None:
    size = rle.get("size")
    if size != [height, width] or {*map(type, size)} != {int}:
        raise DataError(f"RLE has size {shorten(size)}, expected [height, width] = [{height}, {width}]")
    counts = rle.get("counts")
    if isinstance(counts, str):
        runs = _unpack_counts(counts)
    elif isinstance(counts, list):
        runs = counts
    else:
        raise DataError(f"RLE counts are a {type(counts).__name__}, expected a list of integers or a string")
    if not _INTEGERS.issuperset(map(type, runs)) or min(runs, default=0) < 0:
        raise DataError("RLE counts hold something else than integers from 0 up; write the annotation anew")
    if sum(runs) != height * width:
        raise DataError(f"RLE counts add up to {shorten(sum(runs))} pixels, expected {height} x {width}")


def _unpack_counts(packed: str) -> Sequence[int]:
    """Run lengths of COCO's string: 5 bits a character; from the fourth on, differences to the run two before."""
    runs: list[int] = []
    value = shift = 0
    for character in packed:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > _MAX_SHIFT:
            raise DataError(f"RLE counts are not a COCO string (at {shorten(character)}); write the annotation anew")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise DataError("RLE counts end in the middle of a number; write the annotation anew")
    return runs


def shorten(value: object) -> str:
    """``repr`` of at most 60 characters, so that a message stays one line; quick for any size and depth."""
    try:
        text = _brief.repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
