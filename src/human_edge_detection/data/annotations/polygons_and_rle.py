"""COCO segmentations: polygons and run-length encoding (RLE), checked before pycocotools decodes them.

pycocotools is C code that trusts its input: an infinite or huge coordinate, or run lengths that do not add up, can end
the process. So every segmentation is checked here, in Python, once, when the annotations are read. In COCO's RLE runs
go down the columns of an image (column-major order) and alternate between background and mask, background first.
"""

import math
import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.errors import DataError

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons ``[[x, y, x, y, ...], ...]`` in pixels, or RLE ``{"size": [height, width], "counts": list or string}``."""
Box = tuple[float, float, float, float]
"""``x1, y1, x2, y2`` in pixels."""


class PlacedMask(NamedTuple):
    """A mask inside a box of an image: ``mask (h, w)`` uint8, and the row and column of its first pixel."""

    mask: NDArray[np.uint8]
    top: int
    left: int

    def add_to(self, plane: NDArray[Any]) -> None:
        """Sets what it covers in ``plane``, ``(H, W)`` of the whole image, to 1."""
        part = plane[self.top : self.top + self.mask.shape[0], self.left : self.left + self.mask.shape[1]]
        part[self.mask > 0] = 1

    def within(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The part of the mask in these rows and columns of the image, 0 where it covers nothing."""
        plane = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        top, bottom = (np.clip(y, rows.start, rows.stop) for y in (self.top, self.top + self.mask.shape[0]))
        left, right = (np.clip(x, columns.start, columns.stop) for x in (self.left, self.left + self.mask.shape[1]))
        plane[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = self.mask[
            top - self.top : bottom - self.top, left - self.left : right - self.left
        ]
        return plane


MAX_OUTLINE = 2**22
"""Largest sum of the lengths of all polygons of one annotation, pixels."""
MAX_POLYGONS = 2000
"""Most polygons of one annotation."""
_MAX_SHIFT = 25
"""Largest shift of the 5 bits of a character. Six characters hold any run; pycocotools overflows 32 bits at seven."""
_INTEGERS = frozenset({int})
_NUMBERS = frozenset({int, float})
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 60


def check_segmentation(segmentation: object, height: int, width: int) -> Segmentation:
    """Checks a segmentation and returns it unchanged.

    Args:
        segmentation: The value of ``segmentation`` in a COCO annotation, whatever it is.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Raises:
        DataError: It is malformed or does not fit the image. The message lacks its subject: the caller puts the file
            and the annotation before it.
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
    """Rasterises a checked segmentation: ``(height, width)`` uint8, 1 inside and 0 outside."""
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    mask: NDArray[np.uint8] = coco_mask.decode(compress(segmentation, height, width))
    return mask


def decode_inside_box(segmentation: Segmentation, height: int, width: int) -> PlacedMask:
    """:func:`decode_mask` inside its bounding box: of all other pixels none is made."""
    if not segmentation:
        return PlacedMask(np.zeros((0, 0), np.uint8), 0, 0)
    rle = compress(segmentation, height, width)
    left, top, box_width, box_height = (int(value) for value in coco_mask.toBbox(rle))
    counts = rle["counts"]
    # 1. Where each run ends, in the order of pixels down the columns.
    ends = np.cumsum(_decode_counts(counts if isinstance(counts, str) else counts.decode()))
    # 2. What of it lies in the columns of the box.
    start, stop = left * height, (left + box_width) * height
    lengths = np.diff(np.clip(ends, start, stop), prepend=start)
    values = (np.arange(len(ends)) % 2).astype(np.uint8)  # runs alternate, background first
    columns = np.repeat(values, lengths).reshape(box_width, height)
    # 3. The rows of the box.
    return PlacedMask(np.ascontiguousarray(columns.T[top : top + box_height]), top, left)


def mask_area_and_box(segmentation: Segmentation, height: int, width: int) -> tuple[int, Box]:
    """Number of pixels and tight bounding box, in pixels, of a checked segmentation; its RLE is not decoded."""
    if not segmentation:
        return 0, (0.0, 0.0, 0.0, 0.0)
    rle = compress(segmentation, height, width)
    x, y, box_width, box_height = (float(value) for value in coco_mask.toBbox(rle))
    return int(coco_mask.area(rle)), (x, y, x + box_width, y + box_height)


def is_rectangle(segmentation: Segmentation) -> bool:
    """Whether a checked RLE fills the box around it."""
    width, height = coco_mask.toBbox(segmentation)[2:]
    return bool(coco_mask.area(segmentation) == width * height)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 when neither has an area."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union else 0.0


def whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """The smallest box of whole pixels around a box."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def box_polygon(box: Box) -> list[float]:
    """The four corners of a box, clockwise on a screen."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def compress(segmentation: Segmentation, height: int, width: int) -> dict[str, Any]:
    """A checked, non-empty segmentation as compressed RLE ``{"size": ..., "counts": string or ASCII bytes}``.

    Polygons are rasterised one by one and united.
    """
    if isinstance(segmentation, list):
        parts = coco_mask.frPyObjects(segmentation, height, width)
        merged: dict[str, Any] = coco_mask.merge(parts) if len(parts) > 1 else parts[0]
        return merged
    if isinstance(segmentation["counts"], list):
        packed: dict[str, Any] = coco_mask.frPyObjects(segmentation, height, width)
        return packed
    return segmentation


def is_plain(polygon: object) -> bool:
    """Whether this is a list of at least 3 points as an even number of ints and floats, of any value."""
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and _NUMBERS.issuperset(map(type, polygon))
    )


def _check_polygon(polygon: object, number: int, height: int, width: int) -> None:
    """Refuses polygon ``number`` unless it is a list of at least three points near the image."""
    if not isinstance(polygon, list):
        raise DataError(f"polygon {number} is a {type(polygon).__name__}, expected a list of numbers x, y, x, y, ...")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DataError(f"polygon {number} has {len(polygon)} coordinates, expected an even number of at least 6")
    if not _is_polygon_near(polygon, height, width):
        position, value = next(
            (position, value)
            for position, value in enumerate(polygon)
            if not _is_near(value, height if position % 2 else width)
        )
        raise DataError(
            f"polygon {number} has the coordinate {shorten(value)} at position {position}, expected a number of "
            f"pixels in or near the image of {width} x {height}"
        )


def _is_polygon_near(polygon: list[Any], height: int, width: int) -> bool:
    """Whether :func:`_is_near` holds for all coordinates; comparing only minima and maxima is five times as quick."""
    if not _NUMBERS.issuperset(map(type, polygon)):
        return False
    x, y = polygon[::2], polygon[1::2]
    if not (-width <= min(x) and max(x) <= 2 * width and -height <= min(y) and max(y) <= 2 * height):
        return False
    return not math.isnan(sum(polygon))  # comparisons with NaN are false, so min and max may skip it


def _is_near(value: object, side: int) -> bool:
    """Whether this is a number from ``-side`` to ``2 * side``, where the image has 0 to ``side``; false for NaN."""
    return isinstance(value, int | float) and type(value) in _NUMBERS and -side <= value <= 2 * side


def _check_outlines(polygons: list[list[float]], height: int, width: int) -> None:
    """Bounds the memory and time of pycocotools, which makes five points of each pixel of a polygon's length.

    The length of an edge is that of its longer side, as pycocotools steps along it.
    """
    if len(polygons) > MAX_POLYGONS:
        raise DataError(f"segmentation has {len(polygons)} polygons, expected at most {MAX_POLYGONS}; write RLE")
    if (
        sum(map(len, polygons)) * 1.5 * max(height, width) <= MAX_OUTLINE
    ):  # no edge is longer than three sides of the image
        return
    length = 0.0
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        length += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())
    if length > MAX_OUTLINE:
        raise DataError(f"outlines are {length:.0f} pixels long, expected at most {MAX_OUTLINE}; write RLE")


def _check_run_lengths(rle: dict[str, Any], height: int, width: int) -> None:
    """Refuses an RLE of another size, or whose runs are not integers from 0 up that add up to all pixels."""
    size = rle.get("size")
    if size != [height, width] or {*map(type, size)} != {int}:
        raise DataError(f"RLE has size {shorten(size)}, expected [height, width] = [{height}, {width}]")
    counts = rle.get("counts")
    if isinstance(counts, str):
        runs = _decode_counts(counts)
    elif isinstance(counts, list):
        runs = counts
    else:
        raise DataError(f"RLE counts are a {type(counts).__name__}, expected a list of integers or a string")
    if not _INTEGERS.issuperset(map(type, runs)) or min(runs, default=0) < 0:
        raise DataError("RLE counts hold something else than integers from 0 up; write the annotation anew")
    if sum(runs) != height * width:
        raise DataError(f"RLE counts add up to {shorten(sum(runs))} pixels, expected {height} x {width}")


def _decode_counts(text: str) -> Sequence[int]:
    """Decodes the run lengths of COCO's compressed RLE (``rleFrString`` of pycocotools).

    A variable-length code like LEB128: each character, minus 48, holds 5 bits of a two's complement number, lowest bits
    first, and a sixth bit that says that more follow. From the fourth run on, the number is the difference to the run
    two before, which is the previous run of the same kind.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > _MAX_SHIFT:
            raise DataError(f"RLE counts are not a COCO string (at {shorten(character)}); write the annotation anew")
        # 1. Append 5 bits above those read so far.
        value |= (bits & 0x1F) << shift
        shift += 5
        # 2. The last character of a number: extend its sign, then undo the difference.
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise DataError("RLE counts end in the middle of a number; write the annotation anew")
    return runs


def shorten(value: object) -> str:
    """``repr`` cut to 60 characters, so that a message stays one line; quick for values of any size and depth."""
    try:
        text = _brief.repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
