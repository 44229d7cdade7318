"""COCO results, and COCO annotations of somebody else: masks of single persons, with scores or without."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_split
from human_edge_detection.data.annotations.polygons_and_rle import (
    check_segmentation,
    compress,
    shorten,
)
from human_edge_detection.engine.teaching.external.answers import ImageAnswers, Instance, ProbabilityMap
from human_edge_detection.engine.teaching.external.matching import placed_mask
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import read_regular_file

logger = logging.getLogger(__name__)

_VERSION: Final = 1
"""Raise it when the same file is read as other answers, so that soft labels made of the older ones are refused."""
_MAX_BYTES: Final = 1 << 31
_PERSON: Final = 1
"""COCO's own id of persons."""
_EXPECTED: Final = (
    "expected COCO results: a list of {image_id, category_id, segmentation, score}, or a COCO annotation file"
)
_TOOLS: Final[Mapping[str, str]] = {
    "shapes": "LabelMe",
    "_via_img_metadata": "VGG Image Annotator",
    "predictions": "an inference server",
    "results": "an inference server",
}
"""A key that gives away who wrote a JSON object that is none of COCO's."""


class _Entry(NamedTuple):
    """One person of the file: the image's index, the compressed RLE, how sure the teacher is."""

    image: int
    counts: bytes
    score: float


@dataclass(frozen=True, eq=False)
class ResultAnswers:
    """The persons in a file, see :class:`~human_edge_detection.engine.teaching.external.answers.Answers`.

    Columns, as data workers hold a copy each: person k of image i, ``first[i] <= k < first[i + 1]``.

    Attributes:
        source: The file.
        sha256: Of its content.
        sizes: ``(n, 2)`` height and width of all images.
        answered: ``(n,)`` bool: whether the file says anything of the image.
        first: ``(n + 1,)`` int64.
        scores: ``(m,)`` float32.
        offsets: ``(m + 1,)`` int64, into ``counts``.
        counts: Compressed RLE of all persons, one after the other.
        others: Entries that are of no image of the annotation set.
        by_id: Whether any image is called by its id.
    """

    source: Path
    sha256: str
    sizes: NDArray[np.int32]
    answered: NDArray[np.bool_]
    first: NDArray[np.int64]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]
    counts: bytes
    others: int
    by_id: bool

    @property
    def kind(self) -> str:
        """What a record says of where the answers come from."""
        return "results"

    @property
    def has_instances(self) -> bool:
        """Always: results are persons."""
        return True

    def of(self, index: int) -> ImageAnswers | None:
        """The persons that the teacher found on image ``index``; None: the file does not mention it."""
        if not self.answered[index]:
            return None
        height, width = self.sizes[index].tolist()
        instances = []
        for k in range(*self.first[index : index + 2].tolist()):
            start, end = self.offsets[k : k + 2].tolist()
            rle = {"size": [height, width], "counts": self.counts[start:end].decode("ascii")}
            mask, top, left = placed_mask(rle, height, width)
            placed = ProbabilityMap(mask.astype(np.float32), top, left, (height, width), is_binary=True)
            instances.append(Instance(placed, float(self.scores[k]), None))
        return ImageAnswers(None, tuple(instances))


def read_results(file: Path, people: AnnotationSet) -> ResultAnswers:
    """The persons in ``file`` on the images of ``people``.

    An entry counts as a person by COCO's id 1, or by the id that ``people`` has for persons where the file has several
    categories. What is left out is said in the log.

    Raises:
        DataError: It is no such file, an entry is malformed or listed twice, or none is of these images.
    """
    try:
        content = read_regular_file(file, max_bytes=_MAX_BYTES)
        data = json.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give COCO results, or a folder of maps") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON ({error}); {_EXPECTED}") from None
    entries, index_of = _entries(file, data, people)
    answered = np.zeros(len(people.images), bool)
    for index in index_of.values():
        answered[index] = True
    persons = _persons(file, entries, index_of, people)
    columns = _columns(persons, len(people.images))
    sha256 = hashlib.sha256(f"results {_VERSION}\n".encode() + content).hexdigest()
    others = sum(entry["image_id"] not in index_of for entry in entries)
    by_id = isinstance(data, list) and not all(isinstance(key, str) for key in index_of)
    return ResultAnswers(file, sha256, people.images.sizes, answered, *columns, others, by_id)


ImageKey = int | str


def _entries(file: Path, data: Any, people: AnnotationSet) -> tuple[list[dict[str, Any]], dict[ImageKey, int]]:
    """The entries of results, and the index of each image that they are of, by what they call it.

    Those of an annotation file belong to images by ``file_name``, as its ids are its own.
    """
    if isinstance(data, dict):
        if not all(isinstance(data.get(key), list) for key in ("images", "annotations", "categories")):
            tool = next((f" (it seems to be of {name})" for key, name in _TOOLS.items() if key in data), "")
            keys = ", ".join(map(shorten, list(data)[:6])) or "nothing"
            raise DataError(f"{file}: a JSON object with {keys}{tool}, {_EXPECTED}")
        return _annotations(file, data, people)
    if not isinstance(data, list):
        raise DataError(f"{file}: a JSON {type(data).__name__}, {_EXPECTED}")
    if not data:
        raise DataError(f"{file}: an empty list, {_EXPECTED}")
    for number, entry in enumerate(data):
        if not isinstance(entry, dict):
            raise DataError(f"{file}: entry {number} is a {type(entry).__name__}, {_EXPECTED}")
        missing = [key for key in ("image_id", "category_id", "score") if key not in entry]
        if missing:
            keys = ", ".join(map(shorten, list(entry)[:6])) or "nothing"
            raise DataError(f"{file}: entry {number} has no {' and no '.join(missing)}, only {keys}; {_EXPECTED}")
        if isinstance(entry["image_id"], list | dict) or isinstance(entry["category_id"], list | dict):
            raise DataError(f"{file}: image_id and category_id of entry {number} are no numbers; {_EXPECTED}")
    wanted = dict.fromkeys(entry["image_id"] for entry in data)
    known = _images_by_key(people)
    index_of = {key: known[key] for key in wanted if known.get(key) is not None}
    if not index_of:
        ids = people.images.ids.tolist()
        raise DataError(
            f"{file}: results of {len(wanted)} other images (first: {shorten(next(iter(wanted)))}); those of "
            f"{people.file} have ids as {', '.join(map(str, ids[:3]))}; give results to these images"
        )
    return data, index_of


def _images_by_key(people: AnnotationSet) -> dict[ImageKey, int]:
    """Index of each image by its id and, as some tools write names in place of ids, by name.

    The name may lack its suffix where that leaves no doubt.
    """
    names = people.images.file_names
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    by_stem = {stem: index for index, stem in enumerate(stems)}
    doubtful = [stem for stem, count in Counter(stems).items() if count > 1]
    for stem in doubtful:
        del by_stem[stem]
    by_name = {name: index for index, name in enumerate(names)}
    return {**by_stem, **by_name, **{number: index for index, number in enumerate(people.images.ids.tolist())}}


def _annotations(
    file: Path, data: Mapping[str, Any], people: AnnotationSet
) -> tuple[list[dict[str, Any]], dict[ImageKey, int]]:
    known = {name: index for index, name in enumerate(people.images.file_names)}
    try:
        names = {entry["id"]: entry["file_name"] for entry in data["images"]}
        categories = {entry["id"] for entry in data["categories"] if str(entry["name"]).strip().casefold() == "person"}
        entries = [
            {**entry, "category_id": _PERSON, "score": entry.get("score", 1.0)}
            for entry in data["annotations"]
            if entry["category_id"] in categories and not entry.get("iscrowd")
        ]
        index_of = {number: known[name] for number, name in names.items() if name in known}
        _check_sizes(file, data, index_of, people)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: a malformed COCO annotation file ({error!r}); see `hed prepare-data`") from None
    if not index_of:
        first = shorten(next(iter(names.values()), "none"))
        raise DataError(
            f"{file}: annotations of {len(names)} other images (first: {first}); those of {people.file} are called as "
            f"{people.images.file_names[0]}"
        )
    logger.info("%s: a COCO annotation file; its persons are taken as found with certainty", file)
    return entries, index_of


def _check_sizes(file: Path, data: Mapping[str, Any], index_of: Mapping[ImageKey, int], people: AnnotationSet) -> None:
    """Refuses annotations of images of other sizes, such as of those that were shrunk: polygons would lie elsewhere."""
    for entry in data["images"]:
        index, said = index_of.get(entry["id"]), (entry.get("height"), entry.get("width"))
        if index is None or None in said:
            continue
        height, width = people.images.sizes[index].tolist()
        if said != (height, width):
            raise DataError(
                f"{file}: {shorten(entry['file_name'])} is {shorten(said[1])} x {shorten(said[0])} (width x height) in "
                f"it, and {width} x {height} in {people.file}; give annotations of the images at this size"
            )


def _persons(
    file: Path, entries: list[dict[str, Any]], index_of: Mapping[ImageKey, int], people: AnnotationSet
) -> list[_Entry]:
    person = _person_category(file, Counter(entry["category_id"] for entry in entries), people)
    sizes = people.images.sizes.tolist()
    found: list[_Entry] = []
    seen: dict[tuple[int, bytes], int] = {}
    left_out = {"another category": 0, "no mask": 0, "no pixel in its mask": 0}
    for number, entry in enumerate(entries):
        image = index_of.get(entry["image_id"])
        if image is None:
            continue
        if entry["category_id"] != person:
            left_out["another category"] += 1
            continue
        segmentation = entry.get("segmentation")
        if not segmentation:
            left_out["no mask"] += 1
            continue
        score = entry["score"]
        if type(score) not in (int, float) or not 0.0 <= score <= 1.0:
            raise DataError(f"{file}: entry {number} has the score {shorten(score)}, expected a number in [0, 1]")
        height, width = sizes[image]
        try:
            rle = compress(check_segmentation(segmentation, height, width), height, width)
        except DataError as error:
            raise DataError(f"{file}: entry {number}, image {shorten(entry['image_id'])}: {error}") from None
        if not coco_mask.area(rle):  # two of them would look like the same person
            left_out["no pixel in its mask"] += 1
            continue
        counts = rle["counts"]
        packed = counts.encode("ascii") if isinstance(counts, str) else counts
        earlier = seen.setdefault((image, packed), number)
        if earlier != number:
            raise DataError(
                f"{file}: entry {number} is the same person of image {shorten(entry['image_id'])} as entry {earlier}; "
                "list each once"
            )
        found.append(_Entry(image, packed, score))
    if not found and left_out["no mask"]:
        raise DataError(
            f"{file}: {left_out['no mask']} persons with boxes and no masks; give results with segmentation"
        )
    if not found and left_out["no pixel in its mask"]:
        raise DataError(
            f"{file}: none of {left_out['no pixel in its mask']} masks has a pixel in its image; write polygons in "
            "pixels of the image, no fractions, and run lengths of persons as ones"
        )
    words = [f"{count} with {reason}" for reason, count in left_out.items() if count]
    if words:
        logger.warning("%s: entries left out: %s", file, ", ".join(words))
    return found


def _person_category(file: Path, counts: Mapping[Any, int], people: AnnotationSet) -> int:
    """The id of persons in a file that has so many entries of each category.

    COCO's 1 where there is no other. Of several, the one that the annotations have for persons: 1 may be a dog there.
    """
    if set(counts) <= {_PERSON}:
        return _PERSON
    categories = read_split(people.file, people.images_dir).data["categories"]
    own = [entry["id"] for entry in categories if str(entry.get("name")).strip().casefold() == "person"]
    is_another = any(entry["id"] == _PERSON for entry in categories)
    for person in own if is_another else (*own, _PERSON):
        if person in counts:
            return int(person)
    named = ", ".join(f"{shorten(category)} ({count})" for category, count in list(counts.items())[:6])
    wanted = " or ".join(map(str, own or [_PERSON]))
    raise DataError(f"{file}: no entry of category {wanted}, which is person; found {named}; write persons as {wanted}")


def _columns(
    persons: Iterable[_Entry], images: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], bytes]:
    ordered = sorted(persons, key=lambda entry: entry.image)  # stable: in the order of the file within an image
    owners = np.array([entry.image for entry in ordered], np.int64)
    first = np.searchsorted(owners, np.arange(images + 1)).astype(np.int64)
    scores = np.array([entry.score for entry in ordered], np.float32)
    offsets = np.cumsum([0, *(len(entry.counts) for entry in ordered)]).astype(np.int64)
    return first, scores, offsets, b"".join(entry.counts for entry in ordered)
