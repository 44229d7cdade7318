"""CVAT: ``annotations.xml`` as "CVAT for images 1.1" writes it, or its COCO export."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final
from xml.parsers import expat

import numpy as np

from human_edge_detection.data.annotations.polygons_and_rle import Segmentation, shorten
from human_edge_detection.data.formats import coco
from human_edge_detection.data.formats.folder import read_bytes
from human_edge_detection.data.formats.format import Dataset, Format
from human_edge_detection.data.formats.shapes import (
    ImageShapes,
    Kind,
    Shape,
    ShapeDataset,
    ellipse,
    placed_mask,
    rectangle,
)
from human_edge_detection.data.formats.splits import split_called
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import is_file

_XML: Final = "annotations.xml"
_COCO: Final = "annotations/instances_default.json"
_MAX_BYTES: Final = 2**31
_MAX_DIGITS: Final = 9
_MAX_PX: Final = 1e9
_KINDS: Final[Mapping[str, Kind]] = {"polygon": "mask", "ellipse": "mask", "mask": "mask", "box": "box"}


def _find(root: Path) -> Path | None:
    return next((root / name for name in (_XML, _COCO) if is_file(root / name)), None)


def _read(root: Path) -> Dataset:
    file = root / _XML
    if not is_file(file):
        return coco.FORMAT.read(root)
    splits: dict[str, list[ImageShapes]] = {}
    for subset, image in _XmlReader(file).read():
        splits.setdefault(split_called(subset) or "train", []).append(image)
    return ShapeDataset(file, splits)


class _XmlReader:
    """Reads the file element by element, which gives line numbers.

    Everything is in attributes. A document type is refused, and with it entities, which are how a short XML text
    becomes a huge one or one of other files.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: list[str] = []
        self._images: list[tuple[str, ImageShapes]] = []
        self._shapes: list[Shape] = []
        # CVAT writes UTF-8; an encoding that the text itself names is not asked for.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self) -> list[tuple[str, ImageShapes]]:
        """The images, each with the name of its subset.

        Raises:
            DataError: The file is malformed; names the line.
        """
        content = read_bytes(self._file, _MAX_BYTES)
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            raise DataError(f"{self._file}, line {error.lineno}: not valid XML ({problem}); export it anew") from None
        return self._images

    @property
    def _where(self) -> str:
        return f"{self._file}, line {self._parser.CurrentLineNumber}"

    def _refuse_doctype(self, *_: object) -> None:
        raise DataError(f"{self._where}: a document type, expected XML without one, as CVAT writes it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        try:
            self._read_element(tag, attributes)
        except DataError as error:
            raise DataError(f"{self._where}: {error}") from None
        self._open.append(tag)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _read_element(self, tag: str, attributes: Mapping[str, str]) -> None:
        match self._open:
            case [] if tag != "annotations":
                raise DataError(f"<{tag}>, expected <annotations>; export as 'CVAT for images 1.1'")
            case ["annotations"] if tag == "track":
                raise DataError("<track>, so these are annotations of a video; export as 'CVAT for images 1.1'")
            case ["annotations"] if tag == "image":
                self._shapes = []
                subset = attributes.get("subset", "")
                file = _image_file(self._file.parent, subset, _text(attributes, "name"))
                size = _integer(attributes, "height"), _integer(attributes, "width")
                self._images.append((subset, ImageShapes(file, *size, self._shapes)))
            case ["annotations", "image"] if tag != "tag":
                self._shapes.append(_shape(tag, attributes, self._where))


def _image_file(root: Path, subset: str, name: str) -> Path:
    """Where the image is; one that is nowhere is where CVAT puts it, and will be missed there."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DataError(f"name is {shorten(name)}, which leads out of the images folder; use a relative path")
    folders = [root / "images" / subset, root / "images", root / "images" / "default", root]
    places = [folder / name for folder in folders]
    return next(filter(is_file, places), places[1])


def _shape(tag: str, attributes: Mapping[str, str], where: str) -> Shape:
    group = attributes.get("group_id", "0")
    return Shape(
        category=_text(attributes, "label"),
        where=where,
        kind=_KINDS.get(tag, "none"),
        outline=partial(_outline, tag, attributes),
        group=None if group == "0" else group,
    )


def _outline(tag: str, attributes: Mapping[str, str], height: int, width: int) -> Segmentation:
    if tag == "polygon":
        return [_points(_text(attributes, "points"))]
    if tag == "mask":
        return _mask(attributes, height, width)
    keys = ("cx", "cy", "rx", "ry") if tag == "ellipse" else ("xtl", "ytl", "xbr", "ybr")
    a, b, c, d = (_number(_text(attributes, key), key) for key in keys)
    turned = _number(attributes.get("rotation", "0"), "rotation")
    return ellipse(a, b, c, d, turned) if tag == "ellipse" else rectangle(a, b, c, d, turned)


def _points(text: str) -> list[float]:
    """``x,y;x,y;...`` as a polygon."""
    pairs = [pair.split(",") for pair in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError(f"points are {shorten(text)}, expected x,y;x,y;...")
    return [_number(value, "points") for pair in pairs for value in pair]


def _mask(attributes: Mapping[str, str], height: int, width: int) -> Segmentation:
    """Run lengths over the rows of a part of the image, background first."""
    left, top, columns, rows = (_integer(attributes, key) for key in ("left", "top", "width", "height"))
    text = _text(attributes, "rle")
    runs = [run.strip() for run in text.split(",")]
    if not all(run.isdecimal() and len(run) <= _MAX_DIGITS for run in runs):
        raise DataError(f"rle is {shorten(text)}, expected run lengths with commas between them")
    lengths = [int(run) for run in runs]
    if not 0 < columns <= width or not 0 < rows <= height or sum(lengths) != columns * rows:
        raise DataError(
            f"rle has {sum(lengths)} pixels, expected width x height = {columns} x {rows}, in an image of {width} x "
            f"{height}"
        )
    inside = np.arange(len(lengths)) % 2
    mask = np.repeat(inside.astype(np.uint8), lengths).reshape(rows, columns)
    return placed_mask(mask, top, left, height, width)


def _text(attributes: Mapping[str, str], key: str) -> str:
    if not attributes.get(key):
        raise DataError(f"no attribute {key!r}; export it anew")
    return attributes[key]


def _integer(attributes: Mapping[str, str], key: str) -> int:
    text = _text(attributes, key)
    if not (text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise DataError(f"{key} is {shorten(text)}, expected an integer from 0 up")
    return int(text)


def _number(text: str, key: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) < _MAX_PX:
        raise DataError(f"{key} has {shorten(text)}, expected a number")
    return number


FORMAT: Final = Format(
    title="CVAT",
    layout=f"{_XML} ('CVAT for images 1.1') or {_COCO}, and images in images/",
    find=_find,
    read=_read,
)
