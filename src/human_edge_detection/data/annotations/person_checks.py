"""The person annotations of a COCO file: each checked, all packed.

Most annotations are polygons that can be proven good many at a time (`bulk_checks`). What decides is :func:`_look_at`,
one annotation after the other; it sees all that are not proven, and whatever it would say of the others is what is said
of them.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import BadSample
from human_edge_detection.data.annotations.bulk_checks import Outlines, prove_boxes
from human_edge_detection.data.annotations.columns import PackedPeople
from human_edge_detection.data.annotations.polygons_and_rle import (
    MAX_POLYGONS,
    Box,
    check_segmentation,
    compress,
    is_plain,
    mask_area_and_box,
    shorten,
)
from human_edge_detection.data.annotations.rle_to_polygons import trace
from human_edge_detection.errors import DataError

logger = logging.getLogger(__name__)

_SAME_BOX_IOU: Final = 0.25
_MAX_PLACE: Final = 1e6
"""Of a box, pixels."""
_CHUNK: Final = 8192
"""Annotations proven at once: their arrays stay within the processor's cache."""
_MAX_TRACED: Final = 2**24
"""Points of outlines around run lengths: 270 MB of an index. Those of a person as high as a photograph are 2000."""
_NO_BOX: Final = [float("nan")] * 4


class Findings(NamedTuple):
    """What is to be said of the annotations, whenever they are read.

    Attributes:
        malformed: Photographs with such an annotation, and what is wrong with the first of it.
        persons: Annotations that are well-formed, crowds too.
        moved: Those with a box far from their mask.
        first_moved: Id of the first of these; 0 without one.
        invisible: Those with an empty mask or box, which are left out.
        first_invisible: Id of the first of these; 0 without one.
    """

    malformed: tuple[BadSample, ...]
    persons: int
    moved: int
    first_moved: int
    invisible: int
    first_invisible: int

    def warn(self, file: Path) -> None:
        """Warns of boxes that are not used and of persons that are left out of ``file``."""
        if self.moved:
            logger.warning(
                "%d annotations (first: %d) have a bbox far from their mask; the mask's box is used. bbox is x, y, "
                "width, height",
                self.moved,
                self.first_moved,
            )
        if self.invisible:
            logger.warning(
                "%s: %d of %d person annotations have an empty mask or box and are left out (first: %d)",
                file,
                self.invisible,
                self.persons,
                self.first_invisible,
            )


class _Candidates(NamedTuple):
    """The m annotations of category person: what the file says, their ids, and the photographs they are on."""

    entries: list[dict[str, Any]]
    ids: NDArray[np.int64]
    owners: NDArray[np.int64]


class _Verdict(NamedTuple):
    """What an annotation is: ``run_lengths`` is empty where it has polygons."""

    box: Box
    run_lengths: bytes
    is_crowd: bool
    is_visible: bool
    agrees: bool


class _Judged(NamedTuple):
    """Verdicts over m annotations, as columns; of those that are not ``well_formed`` nothing else is said."""

    boxes: NDArray[np.float64]
    runs: NDArray[np.int64]
    run_lengths: bytearray
    is_crowd: NDArray[np.bool_]
    is_visible: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    well_formed: NDArray[np.bool_]


def person_entries(data: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The annotations of category ``person`` in a COCO object, each with its number among all annotations.

    Raises:
        DataError: There is no such category, or it is not clear which; a category is no integer.
    """
    category = _person_category(data["categories"])
    for number, entry in enumerate(data["annotations"]):
        if integer(entry, "category_id", f"annotations[{number}]") == category:
            yield number, entry


def pack_people(data: Mapping[str, Any], images: Mapping[int, dict[str, Any]]) -> tuple[PackedPeople, Findings]:
    """The people in a COCO object, and what is to be said of them.

    Args:
        data: As :func:`~human_edge_detection.data.annotations.coco.read_json` reads it.
        images: Its checked images by id.

    Raises:
        DataError: Ids are missing, no integers, given twice or of no image.
    """
    sizes = np.array([(image["height"], image["width"]) for image in images.values()], np.int32).reshape(-1, 2)
    candidates = _candidates(person_entries(data), images)
    outlines, given = _gather(candidates.entries, sizes[candidates.owners])
    boxes = _clip(given, outlines.sizes)
    judged, problems = _judge(candidates, list(images.values()), boxes, _prove(outlines, boxes))
    names = [image["file_name"] for image in images.values()]
    malformed = tuple(BadSample(names[owner], problem) for owner, problem in problems.items())
    packed = _pack(list(images), names, sizes, candidates, outlines, judged)
    return packed, _findings(malformed, candidates, judged)


def integer(entry: Mapping[str, Any], key: str, where: str) -> int:
    """``entry[key]``, which must be an integer of 64 bits.

    Raises:
        DataError: It is not; says ``where``.
    """
    value = entry.get(key)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        got = shorten(value) if key in entry else "nothing"
        raise DataError(f"{where}: {key!r} is {got}, expected an integer")
    return value


def _person_category(categories: list[dict[str, Any]]) -> int:
    ids = [integer(entry, "id", f"categories[{number}]") for number, entry in enumerate(categories)]
    persons = [number for number, entry in enumerate(categories) if entry.get("name") == "person"]
    if not persons:
        names = ", ".join(shorten(entry.get("name")) for entry in categories[:8]) or "none"
        raise DataError(f"no category 'person', found {names}; rename yours to 'person'")
    category = ids[persons[0]]
    if len(persons) > 1 or ids.count(category) > 1:
        raise DataError(f"category 'person' or its id {category} is given twice; names and ids must differ")
    return category


def _candidates(entries: Iterable[tuple[int, dict[str, Any]]], images: Mapping[int, Any]) -> _Candidates:
    positions = {image_id: position for position, image_id in enumerate(images)}
    annotations, owners = {}, array("q")
    for number, entry in entries:
        annotation_id = integer(entry, "id", f"annotations[{number}]")
        where = f"annotation {annotation_id}"
        if annotation_id in annotations:
            raise DataError(f"{where}: this id is given to two annotations; ids must differ")
        image_id = integer(entry, "image_id", where)
        if image_id not in positions:
            raise DataError(f"{where}: belongs to image {image_id}, which 'images' does not list")
        annotations[annotation_id] = entry
        owners.append(positions[image_id])
    ids = np.fromiter(annotations, np.int64, len(annotations))
    return _Candidates(list(annotations.values()), ids, np.asarray(owners))


def _gather(entries: Sequence[Mapping[str, Any]], sizes: NDArray[np.int32]) -> tuple[Outlines, NDArray[np.float64]]:
    """The polygons of all annotations that have some and are no crowds, and ``(m, 4)`` boxes as the file gives them.

    Polygons of which nothing is known but that they are lists of numbers; the box is NaN where it is not even that.
    """
    coordinates, lengths, counts, boxes = array("d"), array("q"), array("q"), array("d")
    for entry in entries:
        polygons = entry.get("segmentation") if entry.get("iscrowd", 0) == 0 else None
        counts.append(_add_polygons(polygons, coordinates, lengths))
        _add_box(entry.get("bbox"), boxes)
    points = np.asarray(coordinates).reshape(-1, 2)
    return Outlines(points, np.asarray(lengths), np.asarray(counts), sizes), np.asarray(boxes).reshape(-1, 4)


def _add_polygons(polygons: object, coordinates: array[float], lengths: array[int]) -> int:
    """Adds all polygons and returns their number, or none of them and returns 0."""
    if not isinstance(polygons, list) or len(polygons) > MAX_POLYGONS or not all(map(is_plain, polygons)):
        return 0
    points = len(coordinates)
    try:
        for polygon in polygons:
            coordinates.fromlist(polygon)
    except OverflowError:  # an integer of hundreds of digits
        del coordinates[points:]
        return 0
    lengths.extend(len(polygon) // 2 for polygon in polygons)
    return len(polygons)


def _add_box(box: Any, boxes: array[float]) -> None:
    try:
        boxes.fromlist(box if _is_box(box) else _NO_BOX)
    except OverflowError:
        boxes.fromlist(_NO_BOX)


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and {*map(type, box)} <= {int, float}


def _clip(boxes: NDArray[np.float64], sizes: NDArray[np.int32]) -> NDArray[np.float64]:
    """``(m, 4)`` boxes x, y, width, height as x1, y1, x2, y2 within photographs of ``sizes``; NaN out of range."""
    boxes = np.where((np.abs(boxes) < _MAX_PLACE).all(axis=1, keepdims=True), boxes, np.nan)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    limits = sizes[:, [1, 0, 1, 0]].astype(np.float64)
    corners = np.where(corners < 0, 0.0, corners)
    return np.where(corners > limits, limits, corners)


def _prove(outlines: Outlines, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """:func:`prove_boxes`, a chunk at a time."""
    polygons = np.concatenate([[0], np.cumsum(outlines.counts)])
    points = np.concatenate([[0], np.cumsum(outlines.lengths)])
    proven = np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), _CHUNK):
        own = slice(start, start + _CHUNK)
        first, last = polygons[start], polygons[min(own.stop, len(boxes))]
        part = Outlines(
            outlines.points[points[first] : points[last]],
            outlines.lengths[first:last],
            outlines.counts[own],
            outlines.sizes[own],
        )
        proven[own] = prove_boxes(part, boxes[own], min_iou=_SAME_BOX_IOU)
    return proven


def _judge(
    candidates: _Candidates,
    images: Sequence[Mapping[str, Any]],
    boxes: NDArray[np.float64],
    proven: NDArray[np.bool_],
) -> tuple[_Judged, dict[int, str]]:
    """The verdicts, and the first problem of each photograph that has one, by its position."""
    judged = _Judged(
        boxes=boxes,
        runs=np.zeros((len(boxes), 2), np.int64),
        run_lengths=bytearray(),
        is_crowd=np.zeros(len(boxes), bool),
        is_visible=np.ones(len(boxes), bool),
        agrees=np.ones(len(boxes), bool),
        well_formed=np.ones(len(boxes), bool),
    )
    problems: dict[int, str] = {}
    for number in np.flatnonzero(~proven).tolist():
        owner = int(candidates.owners[number])
        image = images[owner]
        try:
            verdict = _look_at(candidates.entries[number], image["height"], image["width"])
        except DataError as error:
            judged.well_formed[number] = False
            annotation = f"annotation {candidates.ids[number]} of image {image['id']}"
            problems.setdefault(owner, f"{annotation}: {error}")
            continue
        judged.boxes[number] = verdict.box
        judged.runs[number] = len(judged.run_lengths), len(judged.run_lengths) + len(verdict.run_lengths)
        judged.run_lengths.extend(verdict.run_lengths)
        judged.is_crowd[number] = verdict.is_crowd
        judged.is_visible[number] = verdict.is_visible
        judged.agrees[number] = verdict.agrees
    return judged, problems


def _look_at(entry: Mapping[str, Any], height: int, width: int) -> _Verdict:
    """What this annotation is, on a photograph of this size.

    Raises:
        DataError: It is malformed.
    """
    if "segmentation" not in entry:
        raise DataError("no 'segmentation'; this tool needs instance masks, boxes alone are not enough")
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"iscrowd is {shorten(crowd)}, expected 0 or 1")
    segmentation = check_segmentation(entry["segmentation"], height, width)
    if crowd and isinstance(segmentation, list):
        raise DataError("a crowd (iscrowd 1) has polygons, expected run lengths (RLE); write RLE, or iscrowd 0")
    run_lengths = b""
    if isinstance(segmentation, dict):
        segmentation = compress(segmentation, height, width)
        counts = segmentation["counts"]
        run_lengths = counts.encode("ascii") if isinstance(counts, str) else counts
    area, mask_box = mask_area_and_box(segmentation, height, width)
    given = entry.get("bbox")
    box = mask_box if given is None else _clipped_box(given, height, width)
    agrees = area == 0 or _is_empty(box) or _iou(box, mask_box) >= _SAME_BOX_IOU
    box = box if agrees else mask_box
    return _Verdict(box, run_lengths, bool(crowd), area > 0 and not _is_empty(box), agrees)


def _clipped_box(box: object, height: int, width: int) -> Box:
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"bbox is {shorten(box)}, expected [x, y, width, height]")
    if not _is_box(box) or not all(-_MAX_PLACE < value < _MAX_PLACE for value in box):
        raise DataError(f"bbox is {shorten(box)}, expected four finite numbers of pixels")
    x1, y1, x2, y2 = _clip(np.array([box], np.float64), np.array([[height, width]], np.int32))[0].tolist()
    return x1, y1, x2, y2


def _is_empty(box: Box) -> bool:
    return box[2] <= box[0] or box[3] <= box[1]


def _iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union


def _pack(
    image_ids: list[int],
    names: list[str],
    sizes: NDArray[np.int32],
    candidates: _Candidates,
    outlines: Outlines,
    judged: _Judged,
) -> PackedPeople:
    encoded = [name.encode() for name in names]
    kept = np.flatnonzero(judged.well_formed & judged.is_visible)
    kept = kept[np.lexsort((judged.is_crowd[kept], candidates.owners[kept]))]
    owners, is_crowd = candidates.owners[kept], judged.is_crowd[kept]
    first_persons = _offsets(np.bincount(owners, minlength=len(names)))
    polygons, lengths, points = _with_traced(outlines, _trace(judged, sizes[candidates.owners]))
    return PackedPeople(
        image_ids=np.array(image_ids, np.int64),
        sizes=sizes,
        names=np.frombuffer(b"".join(encoded), np.uint8),
        name_offsets=_offsets([len(name) for name in encoded]),
        first_persons=first_persons,
        first_crowds=first_persons[:-1] + np.bincount(owners[~is_crowd], minlength=len(names)),
        annotation_ids=candidates.ids[kept],
        boxes=judged.boxes[kept],
        polygons=polygons[kept],
        runs=judged.runs[kept],
        polygon_offsets=_offsets(lengths),
        points=points,
        run_lengths=np.frombuffer(bytes(judged.run_lengths), np.uint8),
    )


def _trace(judged: _Judged, sizes: NDArray[np.int32]) -> dict[int, list[NDArray[np.float64]]]:
    """Outlines around the run lengths of persons, by number of annotation, as long as there is room for them.

    They are the same in every view, so it is worth while to trace them once. Crowds are few and have long outlines.
    """
    traced: dict[int, list[NDArray[np.float64]]] = {}
    room = _MAX_TRACED
    for number in np.flatnonzero((judged.runs[:, 0] < judged.runs[:, 1]) & ~judged.is_crowd).tolist():
        if room <= 0:
            break
        start, end = judged.runs[number].tolist()
        traced[number] = trace({"size": sizes[number].tolist(), "counts": bytes(judged.run_lengths[start:end])})
        room -= sum(map(len, traced[number]))
    return traced


def _with_traced(
    outlines: Outlines, traced: Mapping[int, list[NDArray[np.float64]]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First and end polygon of each annotation, points of each polygon, and these: those traced come last."""
    ends = np.cumsum(outlines.counts, dtype=np.int64)
    polygons = np.stack([ends - outlines.counts, ends], axis=1)
    counts = np.array([len(around) for around in traced.values()], np.int64)
    ends = len(outlines.lengths) + np.cumsum(counts, dtype=np.int64)
    polygons[list(traced)] = np.stack([ends - counts, ends], axis=1)
    added = [outline for around in traced.values() for outline in around]
    lengths = np.concatenate([outlines.lengths, np.array([len(outline) for outline in added], np.int64)])
    points = np.concatenate([outlines.points, *added]) if added else outlines.points  # a copy of 150 MB for COCO
    return polygons, lengths, points


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each part starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _findings(malformed: tuple[BadSample, ...], candidates: _Candidates, judged: _Judged) -> Findings:
    well_formed = np.flatnonzero(judged.well_formed)
    moved = well_formed[~judged.agrees[well_formed]]
    # Counted photograph by photograph, these in the order of their first annotation.
    _, first, photograph = np.unique(candidates.owners[well_formed], return_index=True, return_inverse=True)
    by_photograph = well_formed[np.argsort(first[photograph], kind="stable")]
    invisible = by_photograph[~judged.is_visible[by_photograph]]
    return Findings(
        malformed=malformed,
        persons=len(well_formed),
        moved=len(moved),
        first_moved=int(candidates.ids[moved[0]]) if len(moved) else 0,
        invisible=len(invisible),
        first_invisible=int(candidates.ids[invisible[0]]) if len(invisible) else 0,
    )
