"""Reading people out of a COCO ``instances`` file, with every mistake in it named."""

import gc
import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from human_edge_detection.data.people import (
    BadSample,
    PeopleAnnotations,
    PersonAnnotation,
    Photograph,
    refusal,
    without,
)
from human_edge_detection.data.picture_header import MAX_PIXELS
from human_edge_detection.data.segmentation import Box, check_segmentation, decode_mask, mask_area_and_box, shorten
from human_edge_detection.errors import DataError
from human_edge_detection.reading import read_regular_file

__all__ = ["PeopleAnnotations", "PersonAnnotation", "Photograph", "decode_mask", "read_json", "read_people"]

logger = logging.getLogger(__name__)

_MAX_BYTES = 2**31
_MAX_SIDE = 65_535
_SAME_BOX_IOU = 0.25
_UNUSABLE_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters and line ends, which would tear messages apart, and what is no text at all."""


@dataclass
class _Found:
    """What the annotations hold, by image id: people with their area in pixels, and what is malformed."""

    people: dict[int, list[tuple[PersonAnnotation, int]]] = field(default_factory=dict)
    malformed: dict[int, str] = field(default_factory=dict)
    moved: list[int] = field(default_factory=list)
    """Annotations with a box far from their mask."""


def read_people(annotation_file: Path, images_dir: Path, *, skip_bad: bool = False) -> PeopleAnnotations:
    """People of a COCO instances file; categories other than ``person`` are ignored.

    Annotations without a visible pixel are left out, with one warning that counts them.

    Args:
        annotation_file: COCO ``instances`` JSON.
        images_dir: Folder that the ``file_name`` of each image is relative to.
        skip_bad: Leave out photographs that are missing or have a malformed annotation, and list them in ``skipped``.

    Raises:
        DataError: Anything is missing, malformed or contradictory; the message names file and image or annotation.
            With ``skip_bad`` only what concerns the file as a whole, or more than half of its photographs.
    """
    content = _read_bytes(annotation_file)
    with _without_garbage_collection():
        data = read_json(annotation_file, content)
        try:
            images = _images_by_id(data)
            found = _person_annotations(data, images)
        except DataError as error:
            raise DataError(f"{annotation_file}: {error}") from None
        kept = _without_invisible(found, annotation_file)
        photographs = tuple(_photograph(image, kept.get(image_id, [])) for image_id, image in images.items())
    people = PeopleAnnotations(annotation_file, images_dir, photographs, hashlib.sha256(content).hexdigest())
    bad = [BadSample(images[image_id]["file_name"], problem) for image_id, problem in found.malformed.items()]
    if bad and not skip_bad:
        raise refusal(people, bad)
    missing = _missing_photographs(people)
    if missing and not skip_bad:
        raise DataError(
            f"{annotation_file}: {len(missing)} of {len(images)} photographs are not in {images_dir} (first: "
            f"{shorten(missing[0])}); give the folder that holds them"
        )
    malformed = {sample.file_name for sample in bad}
    return without(people, [*bad, *(BadSample(name, "is missing") for name in missing if name not in malformed)])


def read_json(file: Path, content: bytes) -> dict[str, Any]:
    """The JSON object in ``content``, with the three lists of COCO.

    Raises:
        DataError: It is not one.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); give a COCO JSON file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error}); give a COCO instances file") from None
    if not isinstance(data, dict):
        raise DataError(f"{file}: holds a JSON {type(data).__name__}, expected an object with images and annotations")
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise DataError(f"{file}: no list {key!r} in it, found {_some(data)}; give a COCO instances file")
        if not all(isinstance(entry, dict) for entry in data[key]):
            raise DataError(f"{file}: {key!r} holds entries that are not objects; give a COCO instances file")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of a key that comes twice, ``json`` would take the last and say nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object has the key {shorten(twice)} twice")
    return found


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of new lists that all stay would be searched for garbage again and again: a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_bytes(file: Path) -> bytes:
    try:
        return read_regular_file(file, max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        raise DataError(f"annotation file {file} does not exist; give an existing COCO instances file") from None
    except OSError as error:
        raise DataError(f"annotation file {file} cannot be read ({error.strerror}); give a COCO file") from None


def _images_by_id(data: dict[str, Any]) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    names: dict[str, int] = {}
    for number, image in enumerate(data["images"]):
        image_id = _integer(image, "id", f"images[{number}]")
        where = f"image {image_id}"
        if image_id in images:
            raise DataError(f"{where}: this id is given to two images; ids must differ")
        height, width = _integer(image, "height", where), _integer(image, "width", where)
        if not (0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE and height * width <= MAX_PIXELS):
            raise DataError(
                f"{where}: size {width} x {height}, expected sides of 1 to {_MAX_SIDE} and at most {MAX_PIXELS} pixels"
            )
        name = _file_name(image, where)
        other = names.setdefault(name, image_id)
        if other != image_id:
            raise DataError(f"{where}: {shorten(name)} is also the photograph of image {other}; list it once")
        images[image_id] = image
    return images


def _file_name(image: dict[str, Any], where: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: file_name is {shorten(name)}, expected the name of a photograph")
    if _UNUSABLE_IN_NAMES.search(name):
        raise DataError(f"{where}: file_name {shorten(name)} has characters that are no text; rename the file")
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts:
        raise DataError(f"{where}: file_name {shorten(name)} leads out of the images folder; use a relative path")
    return name


def _person_annotations(data: dict[str, Any], images: dict[int, dict[str, Any]]) -> _Found:
    category = _person_category(data["categories"])
    found = _Found()
    seen: set[int] = set()
    for number, annotation in enumerate(data["annotations"]):
        if _integer(annotation, "category_id", f"annotations[{number}]") != category:
            continue
        annotation_id = _integer(annotation, "id", f"annotations[{number}]")
        where = f"annotation {annotation_id}"
        if annotation_id in seen:
            raise DataError(f"{where}: this id is given to two annotations; ids must differ")
        seen.add(annotation_id)
        image_id = _integer(annotation, "image_id", where)
        if image_id not in images:
            raise DataError(f"{where}: belongs to image {image_id}, which 'images' does not list")
        try:
            person, area, agrees = _person(annotation, annotation_id, images[image_id])
        except DataError as error:
            found.malformed.setdefault(image_id, f"{where} of image {image_id}: {error}")
            continue
        if not agrees:
            found.moved.append(annotation_id)
        found.people.setdefault(image_id, []).append((person, area))
    return found


def _person_category(categories: list[dict[str, Any]]) -> int:
    ids = [_integer(entry, "id", f"categories[{number}]") for number, entry in enumerate(categories)]
    persons = [number for number, entry in enumerate(categories) if entry.get("name") == "person"]
    if not persons:
        names = ", ".join(shorten(entry.get("name")) for entry in categories[:8]) or "none"
        raise DataError(f"no category 'person', found {names}; rename yours to 'person'")
    category = ids[persons[0]]
    if len(persons) > 1 or ids.count(category) > 1:
        raise DataError(f"category 'person' or its id {category} is given twice; names and ids must differ")
    return category


def _person(
    annotation: dict[str, Any], annotation_id: int, image: dict[str, Any]
) -> tuple[PersonAnnotation, int, bool]:
    """The annotation, its area in pixels, and whether its box agrees with its mask."""
    height, width = image["height"], image["width"]
    if "segmentation" not in annotation:
        raise DataError("no 'segmentation'; this tool needs instance masks, boxes alone are not enough")
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"iscrowd is {shorten(crowd)}, expected 0 or 1")
    segmentation = check_segmentation(annotation["segmentation"], height, width)
    if crowd and isinstance(segmentation, list):
        raise DataError("a crowd (iscrowd 1) has polygons, expected run lengths (RLE); write RLE, or iscrowd 0")
    area, mask_box = mask_area_and_box(segmentation, height, width)
    given = annotation.get("bbox")
    box = mask_box if given is None else _clipped_box(given, height, width)
    agrees = area == 0 or _is_empty(box) or _iou(box, mask_box) >= _SAME_BOX_IOU
    return PersonAnnotation(annotation_id, box if agrees else mask_box, segmentation, bool(crowd)), area, agrees


def _clipped_box(box: object, height: int, width: int) -> Box:
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"bbox is {shorten(box)}, expected [x, y, width, height]")
    if any(type(value) not in (int, float) or not -1e6 < value < 1e6 for value in box):
        raise DataError(f"bbox is {shorten(box)}, expected four finite numbers of pixels")
    x, y, box_width, box_height = (float(value) for value in box)
    right, bottom = min(max(x + box_width, 0.0), float(width)), min(max(y + box_height, 0.0), float(height))
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height)), right, bottom


def _without_invisible(found: _Found, file: Path) -> dict[int, list[PersonAnnotation]]:
    if found.moved:
        logger.warning(
            "%d annotations (first: %d) have a bbox far from their mask; the mask's box is used. bbox is x, y, width, "
            "height",
            len(found.moved),
            found.moved[0],
        )
    pairs = [pair for people in found.people.values() for pair in people]
    invisible = [person.id for person, area in pairs if area == 0 or _is_empty(person.box)]
    if invisible:
        logger.warning(
            "%s: %d of %d person annotations have an empty mask or box and are left out (first: %d)",
            file,
            len(invisible),
            len(pairs),
            invisible[0],
        )
    gone = set(invisible)
    return {
        image_id: [person for person, _ in people if person.id not in gone] for image_id, people in found.people.items()
    }


def _missing_photographs(people: PeopleAnnotations) -> list[str]:
    if not people.images_dir.is_dir():
        raise DataError(f"images folder {people.images_dir} does not exist; give the folder with the photographs")
    names = [photograph.file_name for photograph in people.photographs]
    return [name for name in names if not _is_file(people.images_dir / name)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system allows
        return False


def _photograph(image: dict[str, Any], people: list[PersonAnnotation]) -> Photograph:
    persons = tuple(person for person in people if not person.is_crowd)
    crowds = tuple(person for person in people if person.is_crowd)
    return Photograph(image["id"], image["file_name"], image["width"], image["height"], persons, crowds)


def _integer(entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        got = shorten(value) if key in entry else "nothing"
        raise DataError(f"{where}: {key!r} is {got}, expected an integer")
    return value


def _is_empty(box: Box) -> bool:
    return box[2] <= box[0] or box[3] <= box[1]


def _iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union


def _some(data: dict[str, Any]) -> str:
    return ", ".join(shorten(key) for key in list(data)[:8]) or "nothing"
