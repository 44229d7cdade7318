"""LabelMe: one JSON file for each image, with shapes."""

from __future__ import annotations

import base64
import binascii
import logging
import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.coco import read_object
from human_edge_detection.data.annotations.person_checks import integer
from human_edge_detection.data.annotations.polygons_and_rle import Segmentation, shorten
from human_edge_detection.data.formats.folder import IMAGE_SUFFIXES, files_below, read_bytes
from human_edge_detection.data.formats.format import Format
from human_edge_detection.data.formats.shapes import (
    ImageShapes,
    Kind,
    Shape,
    ShapeDataset,
    ellipse,
    placed_mask,
    rectangle,
    unusable,
)
from human_edge_detection.data.formats.splits import split_called
from human_edge_detection.data.images.read import decode_grey, image_size
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import is_file

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 2**28
"""Largest file: the image may be in it, too."""
_MAX_LOOKED_AT: Final = 100
"""JSON files that are looked at before a folder is said to be none of LabelMe's."""
_MAX_PX: Final = 1e9
_KINDS: Final[Mapping[str, Kind]] = {"polygon": "mask", "circle": "mask", "mask": "mask", "rectangle": "box"}


def _find(root: Path) -> Path | None:
    looked_at = islice(files_below(root, {".json"}), _MAX_LOOKED_AT)
    return next((file for file in looked_at if file.stat().st_size <= _MAX_BYTES and _is_labelme(file)), None)


def _is_labelme(file: Path) -> bool:
    content = read_bytes(file, _MAX_BYTES)
    return b'"shapes"' in content and b'"imagePath"' in content


def _read(root: Path) -> ShapeDataset:
    splits: dict[str, list[ImageShapes]] = {}
    others: list[Path] = []
    files: dict[Path, Path] = {}
    for file in files_below(root, {".json"}):
        try:
            data = read_object(file, read_bytes(file, _MAX_BYTES), "a file as LabelMe writes it")
            image = _image(file, data) if {"shapes", "imagePath"} & data.keys() else None
        except DataError as error:
            image = unusable(next(filter(is_file, _beside(file)), file), error)
        if image is not None:
            split = split_called(file.relative_to(root).parts[0]) or "train"
            if files.setdefault(image.file, file) != file:
                raise DataError(f"{file}: is about {image.file}, as {files[image.file]} is; delete one of them")
            splits.setdefault(split, []).append(image)
        else:
            others.append(file)
    if others:
        logger.warning("%s: %d JSON files are not LabelMe's (first: %s)", root, len(others), others[0])
    rest = sorted({*files_below(root, IMAGE_SUFFIXES)} - files.keys())
    if rest:  # whether persons are on them is not known
        logger.warning("%s: %d images have no JSON file and are left out (first: %s)", root, len(rest), rest[0])
    return ShapeDataset(root, splits)


def _image(file: Path, data: Mapping[str, Any]) -> ImageShapes:
    shapes = data.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DataError(f"{file}: 'shapes' is {shorten(shapes)}, expected a list of objects")
    image = _image_file(file, data.get("imagePath"))
    if data.get("imageHeight") is None:  # which early versions did not write
        height, width = image_size(image) if is_file(image) else (1, 1)
    else:
        height, width = integer(data, "imageHeight", str(file)), integer(data, "imageWidth", str(file))
    read = [_shape(shape, f"{file}, shape {number}") for number, shape in enumerate(shapes)]
    return ImageShapes(image, height, width, read)


def _image_file(file: Path, given: object) -> Path:
    """The image that a JSON file is about: at the path in it, or beside it under that name or the name of the file.

    One that is nowhere is missed beside the file.
    """
    if not isinstance(given, str) or not given:
        raise DataError(f"{file}: 'imagePath' is {shorten(given)}, expected the path of an image")
    path = PureWindowsPath(given)  # which takes both kinds of slashes
    places = [file.parent / path.as_posix(), file.parent / path.name, *_beside(file)]
    return next(filter(is_file, places), places[1])


def _beside(file: Path) -> Iterator[Path]:
    return (file.with_suffix(suffix) for base in sorted(IMAGE_SUFFIXES) for suffix in (base, base.upper()))


def _shape(shape: Mapping[str, Any], where: str) -> Shape:
    label, group = shape.get("label"), shape.get("group_id")
    if not isinstance(label, str):
        raise DataError(f"{where}: 'label' is {shorten(label)}, expected a name")
    if not (group is None or isinstance(group, int | str)):
        raise DataError(f"{where}: 'group_id' is {shorten(group)}, expected an integer or null")
    kind = shape.get("shape_type") or "polygon"  # which early versions did not say
    if not isinstance(kind, str):
        raise DataError(f"{where}: 'shape_type' is {shorten(kind)}, expected for example 'polygon'")
    return Shape(label, where, _KINDS.get(kind, "none"), partial(_outline, shape, kind), group)


def _outline(shape: Mapping[str, Any], kind: str, height: int, width: int) -> Segmentation:
    points = _points(shape.get("points"))
    if kind == "polygon":
        return [[value for point in points for value in point]]
    if len(points) < 2:
        raise DataError(f"a {kind} has {len(points)} points, expected 2")
    (x1, y1), (x2, y2) = points[0], points[1]
    if kind == "circle":  # its centre, and a point on it
        radius = math.hypot(x2 - x1, y2 - y1)
        return ellipse(x1, y1, radius, radius)
    if kind == "mask":  # the corners of its box
        return placed_mask(_decoded(shape.get("mask")), round(y1), round(x1), height, width)
    xs, ys = [x for x, _ in points], [y for _, y in points]  # some tools write all four corners
    return rectangle(min(xs), min(ys), max(xs), max(ys))


def _points(points: object) -> list[tuple[float, float]]:
    """The points of a shape, as pairs of finite numbers."""
    if not isinstance(points, list):
        raise DataError(f"'points' is {shorten(points)}, expected a list of [x, y]")
    for point in points:
        if not (isinstance(point, list) and len(point) == 2 and all(map(_is_finite, point))):
            raise DataError(f"a point is {shorten(point)}, expected [x, y] in pixels")
    return [(point[0], point[1]) for point in points]


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and -_MAX_PX < value < _MAX_PX  # type: ignore[operator] # numbers, by now


def _decoded(mask: object) -> NDArray[np.uint8]:
    """The pixels of a mask: a PNG file in base64."""
    try:
        content = base64.b64decode(mask if isinstance(mask, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"'mask' is {shorten(mask)}, expected a PNG file in base64") from None
    try:
        return decode_grey(content)
    except DataError as error:
        raise DataError(f"'mask' {error}") from None


FORMAT: Final = Format(
    title="LabelMe",
    layout="a JSON file with 'shapes' and 'imagePath' beside each image",
    find=_find,
    read=_read,
)
