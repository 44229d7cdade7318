"""YOLO segmentation: ``data.yaml``, and for each image a text file with a line ``class x1 y1 x2 y2 ...`` a person.

Coordinates are fractions of the image as it is shown, after its EXIF orientation is applied.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from human_edge_detection.data.annotations.polygons_and_rle import Segmentation, shorten
from human_edge_detection.data.formats.folder import IMAGE_SUFFIXES, files_below, read_text
from human_edge_detection.data.formats.format import Format
from human_edge_detection.data.formats.shapes import ImageShapes, Shape, ShapeDataset, rectangle, unusable
from human_edge_detection.data.images.read import image_size
from human_edge_detection.errors import DataError
from human_edge_detection.files.plain_yaml import line_of, parse_value, problem_of
from human_edge_detection.files.read import is_file

logger = logging.getLogger(__name__)

_FILES: Final = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_SPLITS: Final = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_MAX_YAML_BYTES: Final = 2**20
_MAX_TEXT_BYTES: Final = 2**28
_TOLERANCE: Final = 0.1
"""How far a coordinate may be outside of the image, as a fraction of it."""


def _find(root: Path) -> Path | None:
    named = [root / name for name in _FILES]
    others = [file for file in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]) if file not in named]
    return next((file for file in named if is_file(file)), None) or next(filter(_is_yolo, others), None)


def _is_yolo(file: Path) -> bool:
    try:
        return {"names", "train"} <= _fields(file).keys()
    except DataError:
        return False


def _read(root: Path) -> ShapeDataset:
    file = _find(root)
    if file is None:
        raise DataError(f"{root}: no {_FILES[0]} in it")
    fields = _fields(file)
    if "kpt_shape" in fields:
        raise DataError(f"{file}: has kpt_shape, so its labels are key points; this tool needs YOLO segmentation")
    names = _names(file, fields.get("names"))
    images: dict[str, list[Path]] = {}
    for key, split in _SPLITS.items():
        if fields.get(key) and split not in images:
            images[split] = _image_files(file, fields, key)
    if not {"train", "val"} & images.keys():
        raise DataError(f"{file}: has no 'train' and no 'val', expected the folders of images or lists of them")
    labels = {image: _label_file(image) for found in images.values() for image in found}
    _check_labels(file, labels)
    splits = {
        split: [_image(image, labels[image], file, names) for image in found]
        for split, found in images.items()
        if found
    }
    return ShapeDataset(file, splits)


def _image(image: Path, label: Path, file: Path, names: Mapping[int, str]) -> ImageShapes:
    try:
        shapes = _shapes(label, file, names)
        return ImageShapes(image, *image_size(image), shapes)
    except DataError as error:
        return unusable(image, error)


def _fields(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        fields = parse_value(read_text(file, _MAX_YAML_BYTES), integer_keys=True)
    except yaml.YAMLError as error:
        raise DataError(f"{file}{line_of(error)}: {problem_of(error)}; expected YAML as YOLO reads it") from None
    if not isinstance(fields, dict):
        raise DataError(f"{file}: holds a {type(fields).__name__}, expected 'train', 'val' and 'names'")
    return fields


def _names(file: Path, names: object) -> dict[int, str]:
    """The names of the classes by number."""
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DataError(f"{file}: 'names' is {shorten(names)}, expected a list of names, or numbers with names")
    numbered: dict[int, str] = {}
    for key, name in names.items():
        if not str(key).isdecimal() or isinstance(name, dict | list):
            raise DataError(f"{file}: 'names' has {shorten(key)}: {shorten(name)}, expected a number and a name")
        numbered[int(key)] = str(name)
    return numbered


def _image_files(file: Path, fields: Mapping[str, Any], key: str) -> list[Path]:
    """The images of a split: of a folder, of a text file with a path a line, or of a list of such."""
    bases = _bases(file, fields.get("path"))
    given = fields[key] if isinstance(fields[key], list) else [fields[key]]
    images: list[Path] = []
    for entry in given:
        place = _existing(bases, entry) if isinstance(entry, str) else None
        if place is None and key == "test":
            logger.warning("%s: 'test' is %s, which does not exist; there is no test split then", file, shorten(entry))
        elif place is None:
            raise DataError(
                f"{file}: {key!r} is {shorten(entry)}, which is no folder and no list of images below "
                f"{' or '.join(map(str, bases))}; give the path from there"
            )
        elif place.is_dir():
            images += files_below(place, IMAGE_SUFFIXES)
        else:
            images += _listed(place, bases)
    if not images and key != "test":
        raise DataError(f"{file}: {key!r} is {shorten(fields[key])}, where no images are; put them there")
    return [*dict.fromkeys(images)]


def _bases(file: Path, path: object) -> list[Path]:
    """Where relative paths may begin: at ``path``, which may be that of another machine, and at the YAML file."""
    if not isinstance(path, str):
        return [file.parent]
    both = [file.parent / path, file.parent]
    return [*dict.fromkeys(reversed(both) if Path(path).is_absolute() else both)]


def _existing(bases: Sequence[Path], entry: str) -> Path | None:
    """The first place that exists; Roboflow writes ``../train/images`` for ``train/images``."""
    places = [base / text for base in bases for text in (entry.removeprefix("../"), entry)]
    return next((place for place in places if place.is_dir() or is_file(place)), None)


def _listed(file: Path, bases: Sequence[Path]) -> list[Path]:
    """The images in a text file with a path a line."""
    images: list[Path] = []
    for number, line in enumerate(read_text(file, _MAX_TEXT_BYTES).split("\n"), 1):
        if not (entry := line.strip()):
            continue
        places = [base / text for text in (entry, entry.replace("\\", "/")) for base in (file.parent, *bases)]
        image = next(filter(is_file, places), None)
        if image is None:
            raise DataError(f"{file}, line {number}: no image {shorten(entry)} below {file.parent}; put it there")
        images.append(image)
    return images


def _label_file(image: Path) -> Path:
    """``labels/train/a.txt`` for ``images/train/a.jpg``; a text beside the image where there is none."""
    beside = image.with_suffix(".txt")
    parts = image.parts
    if "images" not in parts[:-1]:
        return beside
    last = len(parts) - 2 - parts[-2::-1].index("images")
    label = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
    return beside if is_file(beside) and not is_file(label) else label


def _check_labels(file: Path, labels: Mapping[Path, Path]) -> None:
    """Refuses a data set without labels; says how many images have none, and how many labels no image."""
    missing = [label for label in labels.values() if not label.exists()]
    if len(missing) == len(labels):
        raise DataError(f"{file}: none of {len(labels)} images has a label file (first: {missing[0]}); put them there")
    if missing:
        logger.warning(
            "%s: %d of %d images have no label file and so no persons (first: %s)",
            file,
            len(missing),
            len(labels),
            missing[0],
        )
    folders = {label.parent for image, label in labels.items() if label.parent != image.parent}
    orphans = sorted({text for folder in folders for text in folder.glob("*.txt")} - {*labels.values()})
    orphans = [text for text in orphans if text.name != "classes.txt"]
    if orphans:
        logger.warning("%s: %d label files have no image (first: %s)", file, len(orphans), orphans[0])


def _shapes(label: Path, file: Path, names: Mapping[int, str]) -> list[Shape]:
    """The lines of a label file."""
    if not label.exists():
        return []
    shapes: list[Shape] = []
    for number, line in enumerate(read_text(label, _MAX_TEXT_BYTES).split("\n"), 1):
        if words := line.split():
            where = f"{label}, line {number}"
            numbers = _numbers(words, where)
            category = names.get(int(numbers[0])) if numbers[0].is_integer() else None
            if category is None:
                raise DataError(f"{where}: class {words[0]}, expected one of the {len(names)} classes of {file}")
            shapes.append(_shape(category, where, numbers[1:]))
    return shapes


def _numbers(words: Sequence[str], where: str) -> array[float]:
    try:
        return array("d", map(float, words))
    except ValueError:
        word = next(word for word in words if not _is_number(word))
        raise DataError(f"{where}: {shorten(word)}, expected numbers: class x1 y1 x2 y2 ...") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _shape(category: str, where: str, numbers: array[float]) -> Shape:
    if len(numbers) == 4:  # x and y of the centre, width, height
        return Shape(category, where, "box", partial(_box, numbers))
    if len(numbers) < 6 or len(numbers) % 2:
        raise DataError(f"{where}: {len(numbers)} numbers after the class, expected x and y of at least 3 points")
    return Shape(category, where, "mask", partial(_polygon, numbers))


def _polygon(numbers: array[float], height: int, width: int) -> Segmentation:
    return [_pixels(numbers, height, width)]


def _pixels(numbers: Sequence[float], height: int, width: int) -> list[float]:
    """X and y in pixels of points in fractions of the image."""
    for value in numbers:
        if not -_TOLERANCE <= value <= 1 + _TOLERANCE:
            raise DataError(f"coordinate {value:g}, expected fractions of the image, from 0 to 1")
    return [value * (height if number % 2 else width) for number, value in enumerate(numbers)]


def _box(numbers: array[float], height: int, width: int) -> Segmentation:
    x, y, box_width, box_height = numbers
    corners = (x - box_width / 2, y - box_height / 2, x + box_width / 2, y + box_height / 2)
    return rectangle(*_pixels(corners, height, width))


FORMAT: Final = Format(
    title="YOLO segmentation",
    layout="data.yaml with 'train', 'val' and 'names', images/ and labels/*.txt",
    find=_find,
    read=_read,
)
