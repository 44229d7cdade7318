"""A folder of maps: probabilities of any person, or of one annotated person, in files named after images."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.images.header import read_header
from human_edge_detection.engine.teaching.external.answers import ImageAnswers, Instance, ProbabilityMap
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import read_regular_file

_VERSION: Final = 1
"""Raise it when the same files are read as other answers, so that soft labels made of the older ones are refused."""
_SUFFIXES: Final = (".png", ".npy")
_MAX_BYTES: Final = 1 << 29
"""Of a map."""
_TOLERANCE_PX: Final = 1.0
"""Pixels that a side of a map may differ from the image's proportions: models round the sizes of what they return."""
_OF_A_PERSON: Final = re.compile(r"(.+)_(\d{1,18})", re.DOTALL)
_NAMED: Final = "<image>.png, or <image>_<annotation id>.png for a person; .npy too"
_MAX_SHOWN: Final = 3
"""Names of files in a message."""


class _Reading(NamedTuple):
    """What a file may be: the person map of an image, or the map of one of its persons."""

    image: int
    annotation_id: int | None


@dataclass(frozen=True)
class MapAnswers:
    """The maps in a folder, see :class:`~human_edge_detection.engine.teaching.external.answers.Answers`.

    Attributes:
        source: The folder.
        sha256: Of the maps to these images, and their names.
        files: Of each image that has any, its maps: the file, relative to the folder, by annotation id, None for the
            person map.
        sizes: ``(n, 2)`` height and width of all images.
        others: Maps in the folder that are of no image of the annotation set.
    """

    source: Path
    sha256: str
    files: Mapping[int, Mapping[int | None, str]]
    sizes: NDArray[np.int32]
    others: int

    @property
    def kind(self) -> str:
        """What a record says of where the answers come from."""
        return "maps"

    @property
    def has_instances(self) -> bool:
        """Whether there is a map of a single person."""
        return any(number is not None for maps in self.files.values() for number in maps)

    @property
    def by_id(self) -> bool:
        """Never: maps are named after images."""
        return False

    def of(self, index: int) -> ImageAnswers | None:
        """The answers to image ``index``; None: it has no map.

        Raises:
            DataError: A map cannot be read, or is of another size than the image; names it.
        """
        maps = self.files.get(index)
        if maps is None:
            return None
        height, width = self.sizes[index].tolist()
        read = {number: read_map(self.source / file, (height, width)) for number, file in maps.items()}
        instances = [Instance(map_, 1.0, number) for number, map_ in read.items() if number is not None]
        return ImageAnswers(read.get(None), tuple(instances))


def read_maps(folder: Path, people: AnnotationSet) -> MapAnswers:
    """The maps in ``folder`` to the images of ``people``; their content is hashed, and not yet looked at.

    A file that could be of two images, or be two things of one, is refused, not guessed.

    Raises:
        DataError: There is no map, none is of these images, or one may be read in two ways, or two as one.
    """
    names = sorted(_map_files(folder))
    if not names:
        raise DataError(f"{folder}: no maps in it, expected {_NAMED}")
    readings = _Readings(people)
    files: dict[int, dict[int | None, str]] = {}
    others = []
    for name in names:
        found = readings.of(str(PurePosixPath(name).with_suffix("")))
        if len(found) > 1:
            first, second = (readings.describe(reading) for reading in found[:2])
            raise DataError(
                f"{folder / name}: may be {first} or {second}; name it after the whole file name of the image, as in "
                "a.jpg.png and a.jpg_5.png"
            )
        if not found:
            others.append(name)
            continue
        image, number = found[0]
        earlier = files.setdefault(image, {}).setdefault(number, name)
        if earlier != name:
            raise DataError(f"{folder / name}: is {readings.describe(found[0])}, as {earlier} is; leave one of them")
    if not files:
        shown = ", ".join(others[:_MAX_SHOWN])
        raise DataError(
            f"{folder}: none of its {len(others)} maps ({shown}{', ...' if len(others) > _MAX_SHOWN else ''}) is named "
            f"after an image of {people.file} ({people.images.file_names[0]}, ...); expected {_NAMED}"
        )
    used = [file for image in sorted(files) for file in files[image].values()]
    return MapAnswers(folder, _digest(folder, used), files, people.images.sizes, len(others))


def read_map(path: Path, size: tuple[int, int]) -> ProbabilityMap:
    """Reads a map of an image.

    Args:
        path: A grey PNG, of which 255 (8 bit) or 65535 (16 bit) is probability 1, or an array ``(h, w)`` of floats in
            [0, 1], or of booleans, as ``numpy.save`` writes it.
        size: (height, width) of the image. The map has the same, or the same proportions within a pixel.

    Raises:
        DataError: It is not; names the file.
    """
    try:
        content = read_regular_file(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise DataError(f"map {path}: cannot be read ({error.strerror}); write it anew") from None
    try:
        values = _decode_npy(content) if path.suffix.lower() == ".npy" else _decode_png(content)
        _check_proportions(values.shape, size)
    except DataError as error:
        raise DataError(f"map {path}: {error}") from None
    is_binary = bool(((values == 0) | (values == 1)).all())
    return ProbabilityMap(values, 0, 0, (values.shape[0], values.shape[1]), is_binary)


def _decode_png(content: bytes) -> NDArray[np.float32]:
    read_header(content)
    levels: Any
    try:
        levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        levels = None
    if levels is None:
        raise DataError("cannot be decoded; write it anew")
    if levels.ndim != 2:
        raise DataError(f"has {levels.shape[2]} channels, expected one: write grey levels, 255 (8 bit) for certain")
    return np.asarray(levels / np.float32(np.iinfo(levels.dtype).max), np.float32)


def _decode_npy(content: bytes) -> NDArray[np.float32]:
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except MemoryError:
        raise DataError("says of itself that it is larger than memory; write it anew") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"is no array that numpy.save wrote ({str(error).splitlines()[0]}); write it anew") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not values.size:
        shape = values.shape if isinstance(values, np.ndarray) else "several arrays"
        raise DataError(f"is of shape {shape}, expected (height, width) of one map")
    if not (np.issubdtype(values.dtype, np.floating) or values.dtype == np.bool_):
        raise DataError(f"holds {values.dtype}, expected floats in [0, 1] or booleans; divide by the largest level")
    low, high = float(values.min()), float(values.max())
    if not 0.0 <= low <= high <= 1.0:
        raise DataError(f"has values from {low:g} to {high:g}, expected probabilities in [0, 1]: no logits, no NaN")
    return values.astype(np.float32)


def _check_proportions(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    height, width = size
    rows, columns = shape
    is_near = abs(rows - columns * height / width) <= _TOLERANCE_PX
    if not (is_near or abs(columns - rows * width / height) <= _TOLERANCE_PX):
        raise DataError(
            f"is {columns} x {rows} (width x height), expected the image's {width} x {height}, or its proportions "
            "within a pixel: resize it, and cut off what was padded"
        )


def _map_files(folder: Path) -> Iterator[str]:
    """The files in ``folder`` and below that may be maps, relative to it, with ``/``; hidden ones are left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and name.lower().endswith(_SUFFIXES):
                yield Path(place, name).relative_to(folder).as_posix()


class _Readings:
    """Which image, and which person of it, a name may stand for."""

    def __init__(self, people: AnnotationSet) -> None:
        self._names = people.images.file_names
        self._images: dict[str, list[int]] = {}
        for index, name in enumerate(self._names):
            path = PurePosixPath(name)
            for key in {str(path), str(path.with_suffix(""))}:
                self._images.setdefault(key, []).append(index)
        self._owners = dict(_owners(people))

    def of(self, name: str) -> list[_Reading]:
        """All that a map called ``name``, without its suffix, may be."""
        found = [_Reading(image, None) for image in self._images.get(name, ())]
        match = _OF_A_PERSON.fullmatch(name)
        if match is not None:
            number = int(match[2])
            images = self._images.get(match[1], ())
            found += [_Reading(image, number) for image in images if self._owners.get(number) == image]
        return found

    def describe(self, reading: _Reading) -> str:
        """In words, for messages."""
        image, number = reading
        return (
            f"the person map of {self._names[image]}" if number is None else f"person {number} of {self._names[image]}"
        )


def _owners(people: AnnotationSet) -> Iterator[tuple[int, int]]:
    """The id of each annotated person, with the index of its image."""
    columns = people.images.columns
    for index, position in enumerate(people.images.positions.tolist()):
        start, end = int(columns.first_persons[position]), int(columns.first_crowds[position])
        yield from ((number, index) for number in columns.annotation_ids[start:end].tolist())


def _digest(folder: Path, names: Iterable[str]) -> str:
    digest = hashlib.sha256(f"maps {_VERSION}".encode())
    for name in names:
        try:
            content = read_regular_file(folder / name, max_bytes=_MAX_BYTES)
        except OSError as error:
            raise DataError(f"map {folder / name}: cannot be read ({error.strerror}); write it anew") from None
        digest.update(f"\n{name}\n{hashlib.sha256(content).hexdigest()}".encode())
    return digest.hexdigest()
