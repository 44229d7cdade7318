"""Reads person annotations from a COCO ``instances`` file and names every mistake in it."""

import gc
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from human_edge_detection.data.annotations.annotation_set import (
    PREPARING,
    TRAINING,
    Advice,
    AnnotationSet,
    BadImage,
    only_these,
    refusal,
    without,
)
from human_edge_detection.data.annotations.columns import (
    AnnotatedImage,
    AnnotatedImages,
    AnnotationColumns,
    PersonAnnotation,
)
from human_edge_detection.data.annotations.dataset_findings import settle
from human_edge_detection.data.annotations.image_files import with_files
from human_edge_detection.data.annotations.index import Index, open_index, write_index
from human_edge_detection.data.annotations.person_checks import integer, pack_people, person_entries
from human_edge_detection.data.annotations.polygons_and_rle import decode_mask, shorten
from human_edge_detection.data.annotations.whole_file import judge_file
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import hash_regular_file, read_regular_file
from human_edge_prediction.images.header import MAX_PIXELS

__all__ = [
    "AnnotatedImage",
    "AnnotationSet",
    "CocoSplit",
    "PersonAnnotation",
    "check_annotations",
    "check_image_size",
    "decode_mask",
    "read_annotations",
    "read_json",
    "read_object",
    "read_split",
]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_MAX_BYTES = 2**31
"""Largest annotation file."""
_MAX_SIDE_PX = 65_535
"""Largest height and width of an image."""
_MIN_INDEXED_BYTES = 2**20
"""Smallest annotation file that gets an index; reading a smaller one again is as quick."""
_MAX_EXACT = 2.0**53
"""Below this, no two integers are the same float."""
_UNUSABLE_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters and line ends, which would break messages into lines, and surrogates, which are not text."""


class CocoSplit(NamedTuple):
    """One split of a data set as COCO writes it, whatever it was before.

    Attributes:
        source: The file or folder that it comes from, for messages.
        images_dir: Folder of image files; the ``file_name`` of each image is relative to it.
        data: The object in a COCO instances file, as :func:`read_json` gives it.
    """

    source: Path
    images_dir: Path
    data: dict[str, Any]


def read_annotations(annotation_file: Path, images_dir: Path, *, skip_bad: bool = False) -> AnnotationSet:
    """Reads the person annotations of a COCO instances file; categories other than ``person`` are ignored.

    A person with a mask and no box has the mask's box; the box of a person without a mask becomes a region that is
    ignored; what has neither is left out. One warning for each of these counts them.

    Args:
        annotation_file: COCO ``instances`` JSON.
        images_dir: Folder of image files; the ``file_name`` of each image is relative to it.
        skip_bad: Leave out images that are missing or have a malformed annotation, and list them in ``skipped``.

    Raises:
        DataError: Anything is missing, malformed or contradictory; the message names file and image or annotation.
            With ``skip_bad``, only for a mistake of the file as a whole or when more than half of its images are bad.
    """
    sha256, index = _read_packed(annotation_file)
    images = AnnotatedImages(index.packed)
    people = AnnotationSet(annotation_file, images_dir, images, sha256, has_unknown=_has_unknown(index))
    return _usable(people, index, skip_bad=skip_bad, advice=TRAINING)


def check_annotations(split: CocoSplit, *, skip_bad: bool = False, only_present: bool = False) -> AnnotationSet:
    """The person annotations of a split that is in memory; checks and warns as :func:`read_annotations` does.

    With ``only_present``, images without a file are no part of the data set, however many they are.

    Raises:
        DataError: As :func:`read_annotations` does.
    """
    index = _pack(split.source, split.data)
    people = AnnotationSet(split.source, split.images_dir, AnnotatedImages(index.packed), _digest(index.packed))
    return _usable(people, index, skip_bad=skip_bad, only_present=only_present, advice=PREPARING)


def read_split(annotation_file: Path, images_dir: Path) -> CocoSplit:
    """Reads a COCO instances file; its annotations are not checked.

    Raises:
        DataError: It cannot be read, is not JSON, or lacks COCO's lists.
    """
    with _without_garbage_collection():
        content = _read(annotation_file, read_regular_file)
        return CocoSplit(annotation_file, images_dir, read_json(annotation_file, content))


def _has_unknown(index: Index) -> bool:
    """Whether there is something that was background once and is ignored, or a person, since."""
    return bool(index.findings.unmasked or index.findings.boxless or not index.packed.exhaustive.all())


def _usable(
    people: AnnotationSet, index: Index, *, skip_bad: bool, advice: Advice, only_present: bool = False
) -> AnnotationSet:
    """``people`` after warnings for the findings in ``index``; what cannot be used is refused or left out."""
    is_wrong = any(finding.certain for finding in index.whole)  # which may be why no mask has a pixel
    if index.findings.unmasked and not people.images.person_counts.any() and not is_wrong:
        raise DataError(
            f"{people.file}: all {index.findings.unmasked} persons have a box and no mask (first: "
            f"{index.findings.first_unmasked}); this tool needs masks, so export polygons or masks"
        )
    settle(people.file, index.whole)
    index.findings.warn(people.file)
    count = int((~people.images.exhaustive).sum())
    if count:
        logger.info(
            "%s: %d of %d images are not exhaustively labelled; on these, what lies outside every person's box is "
            "ignored",
            people.file,
            count,
            len(people.images),
        )
    if index.findings.malformed and not skip_bad:
        raise refusal(people, index.findings.malformed, advice)
    named, found = with_files(replace(people, findings=index.whole), index.packed)
    settle(people.file, named.findings[len(index.whole) :])
    missing = found.missing
    if missing and not (skip_bad or only_present):
        name, near = next(iter(missing.items()))
        raise DataError(
            f"{people.file}: {len(missing)} of {len(people.images)} images are not in {people.images_dir} "
            f"(first: {shorten(name)}{near and f', near to {near}'}); give the folder that holds them, or take what is "
            f"there: {advice.only_present}"
        )
    if only_present:
        named, missing = only_these(named, {*named.images.file_names} - missing.keys(), others="missing"), {}
    kept = {*named.images.file_names}
    malformed = [BadImage(found.taken.get(name, name), problem) for name, problem in index.findings.malformed]
    bad = {name: problem for name, problem in malformed if name in kept}
    bad |= {name: "is missing" for name in missing if name not in bad}
    return without(named, [BadImage(*sample) for sample in bad.items()])


def _read_packed(file: Path) -> tuple[str, Index]:
    """The sha256 of ``file``, and its packed annotations: from an index if there is one, else from its JSON."""
    sha256 = _read(file, hash_regular_file)
    indexed = open_index(sha256)
    if indexed is not None:
        return sha256, indexed
    started = time.monotonic()
    content = _read(file, read_regular_file)  # whole, so that sha256 and index are of the same bytes
    with _without_garbage_collection():
        sha256, index = hashlib.sha256(content).hexdigest(), _pack(file, read_json(file, content))
    if len(content) < _MIN_INDEXED_BYTES:
        return sha256, index
    logger.info("%s: %d persons read in %.1f s", file, index.findings.persons, time.monotonic() - started)
    write_index(sha256, index)
    return sha256, open_index(sha256) or index


def _pack(source: Path, data: dict[str, Any]) -> Index:
    """Checks and packs the annotations of a COCO object that comes from ``source``."""
    try:
        packed, findings = pack_people(data, _images_by_id(data))
        persons = [entry for _, entry in person_entries(data)]
        return Index(packed, findings, judge_file(data, packed, persons))
    except DataError as error:
        raise DataError(f"{source}: {error}") from None


def _digest(packed: AnnotationColumns) -> str:
    """The sha256 of packed annotations, where there is no annotation file that could be hashed."""
    digest = hashlib.sha256()
    for field in fields(packed):
        digest.update(np.ascontiguousarray(getattr(packed, field.name)).tobytes())
    return digest.hexdigest()


def read_json(file: Path, content: bytes) -> dict[str, Any]:
    """Parses a JSON object with COCO's lists of objects ``images``, ``annotations`` and ``categories``.

    Args:
        file: Named in messages.
        content: Its bytes.

    Raises:
        DataError: It is not UTF-8, not JSON, or has not these lists.
    """
    data = read_object(file, content, "a COCO instances file")
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise DataError(f"{file}: no list {key!r} in it, found {_first_keys(data)}; give a COCO instances file")
        if not all(isinstance(entry, dict) for entry in data[key]):
            raise DataError(f"{file}: {key!r} holds entries that are not objects; give a COCO instances file")
    for image in data["images"]:
        _say_integers(image, ("id", "height", "width"))
    for category in data["categories"]:
        _say_integers(category, ("id",))
    for entry in data["annotations"]:
        _say_plainly(entry)
    return data


def _say_plainly(entry: dict[str, Any]) -> None:
    """Turns what tools write in an annotation, and what means the same as COCO's own way, into that way."""
    _say_integers(entry, ("id", "image_id", "category_id", "iscrowd"))
    if entry.get("iscrowd", 0) is None:
        entry["iscrowd"] = 0
    segmentation = entry.get("segmentation", ())
    if segmentation in (None, {}):
        entry["segmentation"] = []
    elif isinstance(segmentation, list):
        if [] in segmentation:
            entry["segmentation"] = [polygon for polygon in segmentation if polygon != []]
    elif isinstance(segmentation, dict):
        for key, values in segmentation.items():  # size and run lengths
            if isinstance(values, list) and float in {*map(type, values)}:
                segmentation[key] = [_whole(value) for value in values]


def _say_integers(entry: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Turns whole floats into integers, as tools write that keep tables of numbers."""
    for key in keys:
        if type(value := entry.get(key)) is float:
            entry[key] = _whole(value)


def _whole(value: object) -> object:
    """The integer that a float stands for, if it is one and no other rounds to the same float; else ``value``."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT else value


def read_object(file: Path, content: bytes, wanted: str) -> dict[str, Any]:
    """Parses a JSON object.

    Args:
        file: Named in messages.
        content: Its bytes.
        wanted: What was expected, for messages.

    Raises:
        DataError: It is not UTF-8, not JSON, or no object.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object_without_duplicate_keys)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); give {wanted}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error}); give {wanted}") from None
    if not isinstance(data, dict):
        raise DataError(f"{file}: holds a JSON {type(data).__name__}, expected an object; give {wanted}")
    return data


def _object_without_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; refuses a key that is given twice, of which ``json`` would silently take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object has the key {shorten(twice)} twice")
    return found


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Turns garbage collection off: it would scan millions of new lists again and again, a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(file: Path, read: Callable[..., _T]) -> _T:
    """Calls ``read`` with an annotation file and turns a missing or unreadable file into a DataError."""
    try:
        return read(file, max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        raise DataError(f"annotation file {file} does not exist; give an existing COCO instances file") from None
    except OSError as error:
        raise DataError(f"annotation file {file} cannot be read ({error.strerror}); give a COCO file") from None


def _images_by_id(data: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The entries of ``images`` by id, after checking ids, sizes and file names."""
    images: dict[int, dict[str, Any]] = {}
    names: dict[str, int] = {}
    for number, image in enumerate(data["images"]):
        image_id = integer(image, "id", f"images[{number}]")
        where = f"image {image_id}"
        if image_id in images:
            raise DataError(f"{where}: this id is given to two images; ids must differ")
        check_image_size(integer(image, "height", where), integer(image, "width", where), where)
        exhaustive = image.get("exhaustive")
        if exhaustive not in (None, True, False):
            raise DataError(f"{where}: exhaustive is {shorten(exhaustive)}, expected true or false")
        name = _file_name(image, where)
        other = names.setdefault(name, image_id)
        if other != image_id:
            raise DataError(f"{where}: {shorten(name)} is also the image of image {other}; list it once")
        images[image_id] = image
    return images


def check_image_size(height: int, width: int, where: str) -> None:
    """Refuses sizes that no image has.

    Raises:
        DataError: The image is empty or too large; the message begins with ``where``.
    """
    if not (0 < height <= _MAX_SIDE_PX and 0 < width <= _MAX_SIDE_PX and height * width <= MAX_PIXELS):
        raise DataError(
            f"{where}: size {width} x {height}, expected sides of 1 to {_MAX_SIDE_PX} and at most {MAX_PIXELS} pixels"
        )


def _file_name(image: dict[str, Any], where: str) -> str:
    """The ``file_name`` of an image, which must be text."""
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: file_name is {shorten(name)}, expected the name of an image file")
    if _UNUSABLE_CHARACTERS.search(name):
        raise DataError(f"{where}: file_name {shorten(name)} has characters that are no text; rename the file")
    return name


def _first_keys(data: dict[str, Any]) -> str:
    """The first keys of ``data``, for a message."""
    return ", ".join(shorten(key) for key in list(data)[:8]) or "nothing"
