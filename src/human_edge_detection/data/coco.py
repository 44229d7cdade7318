"""Reading people out of a COCO ``instances`` file, with every mistake in it named."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from human_edge_detection.data.segmentation import (
    Box,
    Segmentation,
    check_segmentation,
    decode_mask,
    mask_area_and_box,
    shorten,
)
from human_edge_detection.errors import DataError

__all__ = ["PeopleAnnotations", "PersonAnnotation", "Photograph", "decode_mask", "read_json", "read_people"]

logger = logging.getLogger(__name__)

_MAX_SIDE = 65_535
_MAX_PIXELS = 2**28
_SAME_BOX_IOU = 0.25


@dataclass(frozen=True)
class PersonAnnotation:
    """One person, or one crowd region.

    Attributes:
        id: Annotation id of the file.
        box: ``x1, y1, x2, y2`` in pixels, clipped to the photograph, not empty.
        segmentation: Polygons or run lengths, checked; see :func:`decode_mask`.
        is_crowd: Whether this is a region with people not told apart.
    """

    id: int
    box: Box
    segmentation: Segmentation
    is_crowd: bool


@dataclass(frozen=True)
class Photograph:
    """One photograph with the people on it; ``file_name`` is relative to the folder of photographs."""

    id: int
    file_name: str
    width: int
    height: int
    persons: tuple[PersonAnnotation, ...]
    crowds: tuple[PersonAnnotation, ...]


@dataclass(frozen=True)
class PeopleAnnotations:
    """One annotation file, read and checked. ``fingerprint`` is the sha256 of the file's bytes."""

    file: Path
    images_dir: Path
    photographs: tuple[Photograph, ...]
    fingerprint: str


def read_people(annotation_file: Path, images_dir: Path) -> PeopleAnnotations:
    """People of a COCO instances file; categories other than ``person`` are ignored.

    Annotations without a visible pixel are left out, with one warning that counts them.

    Args:
        annotation_file: COCO ``instances`` JSON.
        images_dir: Folder that the ``file_name`` of each image is relative to.

    Raises:
        DataError: Anything is missing, malformed or contradictory; the message names file and image or annotation.
    """
    content = _read_bytes(annotation_file)
    data = read_json(annotation_file, content)
    try:
        images = _images_by_id(data)
        persons = _person_annotations(data, images)
    except DataError as error:
        raise DataError(f"{annotation_file}: {error}") from None
    kept = _without_invisible(persons, annotation_file)
    if not any(not person.is_crowd for people in kept.values() for person in people):
        raise DataError(f"{annotation_file}: no annotated persons in {len(images)} images; give a file that has some")
    _check_files(annotation_file, images_dir, images)
    photographs = tuple(_photograph(image, kept.get(image_id, [])) for image_id, image in images.items())
    return PeopleAnnotations(annotation_file, images_dir, photographs, hashlib.sha256(content).hexdigest())


def read_json(file: Path, content: bytes) -> dict[str, Any]:
    """The JSON object in ``content``, with the three lists of COCO.

    Raises:
        DataError: It is not one.
    """
    try:
        data = json.loads(content)
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


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"annotation file {file} does not exist; give an existing COCO instances file") from None
    except OSError as error:
        raise DataError(f"annotation file {file} cannot be read ({error.strerror})") from None


def _images_by_id(data: dict[str, Any]) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    for number, image in enumerate(data["images"]):
        image_id = _integer(image, "id", f"images[{number}]")
        where = f"image {image_id}"
        if image_id in images:
            raise DataError(f"{where}: this id is given to two images; ids must differ")
        height, width = _integer(image, "height", where), _integer(image, "width", where)
        if not (0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE and height * width <= _MAX_PIXELS):
            raise DataError(f"{where}: size {width} x {height}, expected sides of 1 to {_MAX_SIDE} pixels")
        _check_file_name(image.get("file_name"), where)
        images[image_id] = image
    return images


def _check_file_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: file_name is {shorten(name)}, expected the name of a photograph")
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts or "\0" in name:
        raise DataError(f"{where}: file_name {shorten(name)} leads out of the images folder; use a relative path")


def _person_annotations(
    data: dict[str, Any], images: dict[int, dict[str, Any]]
) -> dict[int, list[tuple[PersonAnnotation, int]]]:
    """Person annotations with their area in pixels, by image id."""
    category = _person_category(data["categories"])
    found: dict[int, list[tuple[PersonAnnotation, int]]] = {}
    seen: set[int] = set()
    moved: list[int] = []
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
            raise DataError(f"{where} of image {image_id} ({images[image_id]['file_name']}): {error}") from None
        if not agrees:
            moved.append(annotation_id)
        found.setdefault(image_id, []).append((person, area))
    if moved:
        logger.warning(
            "%d annotations (first: %d) have a bbox far from their mask; the mask's box is used. bbox is x, y, width, "
            "height",
            len(moved),
            moved[0],
        )
    return found


def _person_category(categories: list[dict[str, Any]]) -> int:
    for number, category in enumerate(categories):
        if category.get("name") == "person":
            return _integer(category, "id", f"categories[{number}]")
    names = [str(category.get("name")) for category in categories]
    raise DataError(
        f"no category 'person', found {', '.join(map(repr, names[:8])) or 'none'}; rename yours to 'person'"
    )


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


def _without_invisible(
    people: dict[int, list[tuple[PersonAnnotation, int]]], file: Path
) -> dict[int, list[PersonAnnotation]]:
    pairs = [pair for found in people.values() for pair in found]
    skipped = [person.id for person, area in pairs if area == 0 or _is_empty(person.box)]
    if skipped:
        logger.warning(
            "%s: %d of %d person annotations have an empty mask or box and are left out (first: %d)",
            file,
            len(skipped),
            len(pairs),
            skipped[0],
        )
    gone = set(skipped)
    return {image_id: [person for person, _ in found if person.id not in gone] for image_id, found in people.items()}


def _check_files(annotation_file: Path, images_dir: Path, images: dict[int, dict[str, Any]]) -> None:
    if not images_dir.is_dir():
        raise DataError(f"images folder {images_dir} does not exist; give the folder with the photographs")
    names = dict.fromkeys(image["file_name"] for image in images.values())
    missing = [name for name in names if not _is_file(images_dir / name)]
    if missing:
        raise DataError(
            f"{annotation_file}: {len(missing)} of {len(names)} photographs are not in {images_dir} (first: "
            f"{missing[0]}); give the folder that holds them"
        )


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
    return ", ".join(map(repr, list(data)[:8])) or "nothing"
