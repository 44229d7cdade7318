"""Checks the person annotations of a COCO file, each of them, and packs them into columns.

The rules are those of :func:`_check_annotation`, which takes one annotation at a time and rasterises it. Most
annotations can be proven to pass it many at a time (`bulk_checks`); it is called for all others, so the result is the
same as if it were called for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import BadImage
from human_edge_detection.data.annotations.bulk_checks import PolygonColumns, prove_boxes
from human_edge_detection.data.annotations.columns import AnnotationColumns
from human_edge_detection.data.annotations.findings import Findings
from human_edge_detection.data.annotations.polygons_and_rle import (
    MAX_POLYGONS,
    Box,
    Segmentation,
    box_iou,
    box_polygon,
    check_segmentation,
    compress,
    is_plain,
    mask_area_and_box,
    shorten,
    whole_pixels,
)
from human_edge_detection.data.annotations.rle_to_polygons import trace
from human_edge_detection.data.images.terms import terms_of_images
from human_edge_detection.errors import DataError

MIN_BOX_IOU: Final = 0.25
"""Least IoU of an annotation's ``bbox`` and the bounding box of its mask; below it, the ``bbox`` is not used."""
_MAX_BOX_PX: Final = 1e6
"""Numbers of a ``bbox`` are below this, pixels."""
_CHUNK: Final = 8192
"""Annotations proven at once: their arrays stay within the processor's cache."""
_MAX_TRACED: Final = 2**24
"""Most points of polygons around RLE: 270 MB of an index. A person as high as an image has about 2000 of them."""
_NO_BOX: Final = [float("nan")] * 4


class Place(str):
    """Where an annotation stands, in files that are not COCO: its ``where``, which messages name."""


class Malformed(str):
    """A ``segmentation`` that could not be made, in files that are not COCO: what is wrong, and where it stands."""


class _Candidates(NamedTuple):
    """The m annotations of category ``person``.

    Attributes:
        entries: The JSON objects of the file.
        ids: ``(m,)`` annotation ids.
        owners: ``(m,)`` position of each annotation's image.
    """

    entries: list[dict[str, Any]]
    ids: NDArray[np.int64]
    owners: NDArray[np.int64]


class _Checked(NamedTuple):
    """One well-formed annotation.

    Attributes:
        box: ``x1, y1, x2, y2`` in pixels, clipped to the image: that of the file, or that of the mask.
        run_lengths: COCO's compressed RLE string; empty for polygons. Without a mask it is that of the box.
        is_crowd: Whether it is a region that is ignored: of a crowd, or of a person without a mask.
        has_mask: Whether the mask has an area above 0.
        has_box: Whether the file's box has one, or there is none in it and the mask's has.
        agrees: Whether the file's box agrees with the mask.
    """

    box: Box
    run_lengths: bytes
    is_crowd: bool
    has_mask: bool
    has_box: bool
    agrees: bool


class _CheckedColumns(NamedTuple):
    """:class:`_Checked` for m annotations, as columns, written row by row.

    Attributes:
        boxes: ``(m, 4)``.
        runs: ``(m, 2)`` start and end of an annotation's RLE in ``run_lengths``; equal for polygons.
        run_lengths: All RLE strings, one after the other.
        is_crowd: ``(m,)``.
        has_mask: ``(m,)``.
        has_box: ``(m,)``.
        agrees: ``(m,)``.
        well_formed: ``(m,)``; where it is False, the other columns mean nothing.
    """

    boxes: NDArray[np.float64]
    runs: NDArray[np.int64]
    run_lengths: bytearray
    is_crowd: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]
    has_box: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    well_formed: NDArray[np.bool_]

    @property
    def is_visible(self) -> NDArray[np.bool_]:
        """``(m,)``: there is something of the annotation to be seen."""
        return self.has_mask | self.has_box


def person_entries(data: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The annotations of category ``person`` in a COCO object, each with its position in the list of all annotations.

    Raises:
        DataError: There is no such category or more than one, or an id of a category is not an integer.
    """
    category = _person_category(data)
    for number, entry in enumerate(data["annotations"]):
        if integer(entry, "category_id", f"annotations[{number}]") == category:
            yield number, entry


def pack_people(data: Mapping[str, Any], images: Mapping[int, dict[str, Any]]) -> tuple[AnnotationColumns, Findings]:
    """Checks and packs the person annotations of a COCO object.

    Args:
        data: As :func:`~human_edge_detection.data.annotations.coco.read_json` reads it.
        images: Its checked images by id.

    Raises:
        DataError: Ids are missing, not integers, given twice or those of no image.
    """
    # 1. Gather what can be proven in bulk, in arrays.
    sizes = np.array([(image["height"], image["width"]) for image in images.values()], np.int32).reshape(-1, 2)
    candidates = _candidates(person_entries(data), images)
    outlines, given = _gather(candidates.entries, sizes[candidates.owners])
    boxes = _clipped_boxes(given, outlines.sizes)
    # 2. Prove, then check what is not proven.
    columns, problems = _check_all(candidates, list(images.values()), boxes, _prove(outlines, boxes))
    # 3. Pack what is well-formed and visible, and count the rest.
    names = [image["file_name"] for image in images.values()]
    malformed = tuple(BadImage(names[owner], problem) for owner, problem in problems.items())
    terms = terms_of_images(data.get("licenses"), images.values())
    packed = _pack(images, names, terms, sizes, candidates, outlines, columns)
    return packed, _findings(malformed, names, candidates, columns)


def integer(entry: Mapping[str, Any], key: str, where: str) -> int:
    """``entry[key]``, which must be an integer of 64 bits.

    Raises:
        DataError: It is missing or something else; the message begins with ``where``.
    """
    value = entry.get(key)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        got = shorten(value) if key in entry else "nothing"
        raise DataError(f"{where}: {key!r} is {got}, expected an integer")
    return value


def _person_category(data: Mapping[str, Any]) -> int:
    """The id of the one category named ``person`` in upper or lower case; one that nobody uses does not count."""
    categories: list[dict[str, Any]] = data["categories"]
    ids = [integer(entry, "id", f"categories[{number}]") for number, entry in enumerate(categories)]
    persons = [k for k, entry in enumerate(categories) if str(entry.get("name")).strip().casefold() == "person"]
    if len({ids[number] for number in persons}) > 1:
        used = {entry.get("category_id") for entry in data["annotations"]}
        persons = [number for number in persons if ids[number] in used] or persons[:1]
    if not persons:
        names = ", ".join(shorten(entry.get("name")) for entry in categories[:8]) or "none"
        raise DataError(f"no category 'person', found {names}; make one of it: hed prepare-data --category NAME")
    category = ids[persons[0]]
    if len(persons) > 1 or ids.count(category) > 1:
        raise DataError(f"category 'person' or its id {category} is given twice; make one of them: hed prepare-data")
    return category


def _candidates(entries: Iterable[tuple[int, dict[str, Any]]], images: Mapping[int, Any]) -> _Candidates:
    """The annotations with their ids and images, which are checked here."""
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


def _gather(
    entries: Sequence[Mapping[str, Any]], sizes: NDArray[np.int32]
) -> tuple[PolygonColumns, NDArray[np.float64]]:
    """The polygons of all annotations that are not crowd regions, and ``(m, 4)`` boxes x, y, width, height.

    Nothing is checked but that polygons are lists of numbers; an annotation with any other has none here. A box that is
    not four numbers is NaN.
    """
    coordinates, lengths, counts, boxes = array("d"), array("q"), array("q"), array("d")
    for entry in entries:
        polygons = entry.get("segmentation") if entry.get("iscrowd", 0) == 0 else None
        counts.append(_add_polygons(polygons, coordinates, lengths))
        _add_box(entry.get("bbox"), boxes)
    points = np.asarray(coordinates).reshape(-1, 2)
    return PolygonColumns(points, np.asarray(lengths), np.asarray(counts), sizes), np.asarray(boxes).reshape(-1, 4)


def _add_polygons(polygons: object, coordinates: array[float], lengths: array[int]) -> int:
    """Appends the polygons and returns their number; none and 0 when one of them is not a list of numbers."""
    if not isinstance(polygons, list) or len(polygons) > MAX_POLYGONS or not all(map(is_plain, polygons)):
        return 0
    points = len(coordinates)
    try:
        for polygon in polygons:
            coordinates.fromlist(polygon)
    except OverflowError:  # an integer too large for a float
        del coordinates[points:]
        return 0
    lengths.extend(len(polygon) // 2 for polygon in polygons)
    return len(polygons)


def _add_box(box: Any, boxes: array[float]) -> None:
    """Appends the four numbers of a box, NaN when it has no such numbers."""
    try:
        boxes.fromlist(box if is_box(box) else _NO_BOX)
    except OverflowError:
        boxes.fromlist(_NO_BOX)


def is_box(box: object) -> TypeGuard[list[float]]:
    """Whether this is a list of four ints or floats, of any value."""
    return isinstance(box, list) and len(box) == 4 and {*map(type, box)} <= {int, float}


def _clipped_boxes(boxes: NDArray[np.float64], sizes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Converts boxes to corners and clips them to the images.

    Args:
        boxes: ``(m, 4)`` x, y, width, height in pixels, as in COCO.
        sizes: ``(m, 2)`` height and width of the images.

    Returns:
        ``(m, 4)`` x1, y1, x2, y2; NaN for a box with a number that is NaN or out of range.
    """
    boxes = np.where((np.abs(boxes) < _MAX_BOX_PX).all(axis=1, keepdims=True), boxes, np.nan)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    limits = sizes[:, [1, 0, 1, 0]].astype(np.float64)
    # NaN stays NaN, as all comparisons with it are false.
    corners = np.where(corners < 0, 0.0, corners)
    return np.where(corners > limits, limits, corners)


def _prove(outlines: PolygonColumns, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """:func:`prove_boxes`, a chunk at a time."""
    polygons = np.concatenate([[0], np.cumsum(outlines.counts)])
    points = np.concatenate([[0], np.cumsum(outlines.lengths)])
    proven = np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), _CHUNK):
        own = slice(start, start + _CHUNK)
        first, last = polygons[start], polygons[min(own.stop, len(boxes))]
        part = PolygonColumns(
            outlines.points[points[first] : points[last]],
            outlines.lengths[first:last],
            outlines.counts[own],
            outlines.sizes[own],
        )
        proven[own] = prove_boxes(part, boxes[own], min_iou=MIN_BOX_IOU)
    return proven


def _check_all(
    candidates: _Candidates,
    images: Sequence[Mapping[str, Any]],
    boxes: NDArray[np.float64],
    proven: NDArray[np.bool_],
) -> tuple[_CheckedColumns, dict[int, str]]:
    """The columns of all annotations, and the first problem of each image that has one, by the image's position."""
    # What is proven: polygons with a pixel, not a crowd region, and the box of the file agrees.
    columns = _CheckedColumns(
        boxes=boxes,
        runs=np.zeros((len(boxes), 2), np.int64),
        run_lengths=bytearray(),
        is_crowd=np.zeros(len(boxes), bool),
        has_mask=np.ones(len(boxes), bool),
        has_box=np.ones(len(boxes), bool),
        agrees=np.ones(len(boxes), bool),
        well_formed=np.ones(len(boxes), bool),
    )
    problems: dict[int, str] = {}
    for number in np.flatnonzero(~proven).tolist():
        owner = int(candidates.owners[number])
        image = images[owner]
        try:
            checked = _check_annotation(candidates.entries[number], image["height"], image["width"])
        except DataError as error:
            columns.well_formed[number] = False
            is_placed = isinstance(candidates.entries[number].get("segmentation"), Malformed)
            annotation = "" if is_placed else f"annotation {candidates.ids[number]} of image {image['id']}: "
            problems.setdefault(owner, f"{annotation}{error}")
            continue
        columns.boxes[number] = checked.box
        columns.runs[number] = len(columns.run_lengths), len(columns.run_lengths) + len(checked.run_lengths)
        columns.run_lengths.extend(checked.run_lengths)
        columns.is_crowd[number] = checked.is_crowd
        columns.has_mask[number] = checked.has_mask
        columns.has_box[number] = checked.has_box
        columns.agrees[number] = checked.agrees
    return columns, problems


def _check_annotation(entry: Mapping[str, Any], height: int, width: int) -> _Checked:
    """Checks one annotation on an image of ``(height, width)`` pixels, rasterising its mask.

    Raises:
        DataError: It is malformed. The caller puts the annotation's id before the message.
    """
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"iscrowd is {shorten(crowd)}, expected 0 or 1")
    given = entry.get("segmentation")
    if isinstance(given, Malformed):
        raise DataError(given)
    segmentation = check_segmentation([] if given is None else given, height, width)
    if crowd and segmentation and isinstance(segmentation, list):
        raise DataError("a crowd (iscrowd 1) has polygons, expected run lengths (RLE); write RLE, or iscrowd 0")
    area, mask_box = mask_area_and_box(segmentation, height, width)
    given = entry.get("bbox")
    box = mask_box if given in (None, []) else _clipped_box(given, height, width)
    if not area:  # a person with a box is there, but nobody knows which pixels of the box are the person's
        if _is_empty(box) and isinstance(segmentation, list) and segmentation:
            box = _around(segmentation, height, width)
        has_box = not _is_empty(box)
        region = _run_lengths([box_polygon(whole_pixels(box))], height, width) if has_box else b""
        return _Checked(box, region, is_crowd=True, has_mask=False, has_box=has_box, agrees=True)
    run_lengths = b"" if isinstance(segmentation, list) else _run_lengths(segmentation, height, width)
    agrees = box_iou(box, mask_box) >= MIN_BOX_IOU
    return _Checked(box if agrees else mask_box, run_lengths, bool(crowd), True, not _is_empty(box), agrees)


def _around(polygons: list[list[float]], height: int, width: int) -> Box:
    """The pixels that polygons reach, though they cover none of them: they are thinner than one, or off the image."""
    x, y = [v for polygon in polygons for v in polygon[::2]], [v for polygon in polygons for v in polygon[1::2]]
    left, top, right, bottom = whole_pixels((min(x), min(y), max(x), max(y)))
    corners = np.array([[left, top, max(right, left + 1), max(bottom, top + 1)]], np.float64)
    x1, y1, x2, y2 = np.clip(corners, 0, [width, height, width, height])[0].tolist()
    return x1, y1, x2, y2


def _run_lengths(segmentation: Segmentation, height: int, width: int) -> bytes:
    """The string of a segmentation's compressed RLE."""
    counts = compress(segmentation, height, width)["counts"]
    return counts.encode("ascii") if isinstance(counts, str) else bytes(counts)


def _clipped_box(box: object, height: int, width: int) -> Box:
    """A COCO ``bbox`` x, y, width, height as x1, y1, x2, y2 clipped to the image; refuses anything else."""
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"bbox is {shorten(box)}, expected [x, y, width, height]")
    if not is_box(box) or not all(-_MAX_BOX_PX < value < _MAX_BOX_PX for value in box):
        raise DataError(f"bbox is {shorten(box)}, expected four finite numbers of pixels")
    x1, y1, x2, y2 = _clipped_boxes(np.array([box], np.float64), np.array([[height, width]], np.int32))[0].tolist()
    return x1, y1, x2, y2


def _is_empty(box: Box) -> bool:
    return box[2] <= box[0] or box[3] <= box[1]


def _pack(
    images: Mapping[int, Mapping[str, Any]],
    names: list[str],
    terms: list[str],
    sizes: NDArray[np.int32],
    candidates: _Candidates,
    outlines: PolygonColumns,
    columns: _CheckedColumns,
) -> AnnotationColumns:
    """The columns of all images and of their well-formed, visible annotations, ordered by image, persons first."""
    encoded = [name.encode() for name in names]
    texts = {text: number for number, text in enumerate(dict.fromkeys(terms))}
    kept = np.flatnonzero(columns.well_formed & columns.is_visible)
    # A stable sort by image, then persons before crowd regions; within these, the order of the file.
    kept = kept[np.lexsort((columns.is_crowd[kept], candidates.owners[kept]))]
    owners, is_crowd = candidates.owners[kept], columns.is_crowd[kept]
    first_persons = _offsets(np.bincount(owners, minlength=len(names)))
    traced = _trace_persons(columns, sizes[candidates.owners])
    polygons, lengths, points = _with_traced(outlines, columns.has_mask, traced)
    return AnnotationColumns(
        image_ids=np.array(list(images), np.int64),
        sizes=sizes,
        exhaustive=np.array([image.get("exhaustive") in (None, True) for image in images.values()], bool),
        terms=np.array([texts[text] for text in terms], np.int32),
        terms_texts=np.frombuffer("\n".join(texts).encode(), np.uint8),
        names=np.frombuffer(b"".join(encoded), np.uint8),
        name_offsets=_offsets([len(name) for name in encoded]),
        first_persons=first_persons,
        first_crowds=first_persons[:-1] + np.bincount(owners[~is_crowd], minlength=len(names)),
        annotation_ids=candidates.ids[kept],
        boxes=columns.boxes[kept],
        polygons=polygons[kept],
        runs=columns.runs[kept],
        polygon_offsets=_offsets(lengths),
        points=points,
        run_lengths=np.frombuffer(bytes(columns.run_lengths), np.uint8),
    )


def _trace_persons(columns: _CheckedColumns, sizes: NDArray[np.int32]) -> dict[int, list[NDArray[np.float64]]]:
    """Polygons around RLE, by number of annotation, until :data:`_MAX_TRACED` points are reached.

    They are the same in every view, so tracing them once saves time. Crowd regions are few and have long borders,
    unlike the boxes of persons without a mask.
    """
    traced: dict[int, list[NDArray[np.float64]]] = {}
    room = _MAX_TRACED
    is_crowd = columns.is_crowd & columns.has_mask
    for number in np.flatnonzero((columns.runs[:, 0] < columns.runs[:, 1]) & ~is_crowd).tolist():
        if room <= 0:
            break
        start, end = columns.runs[number].tolist()
        traced[number] = trace({"size": sizes[number].tolist(), "counts": bytes(columns.run_lengths[start:end])})
        room -= sum(map(len, traced[number]))
    return traced


def _with_traced(
    outlines: PolygonColumns, has_mask: NDArray[np.bool_], traced: Mapping[int, list[NDArray[np.float64]]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Appends the traced polygons to those of the file, of which those without a pixel belong to nobody.

    Returns:
        ``(m, 2)`` first and end polygon of each annotation, ``(q,)`` number of points of each polygon, and ``(P, 2)``
        the points.
    """
    ends = np.cumsum(outlines.counts, dtype=np.int64)
    polygons = np.stack([ends - outlines.counts, ends], axis=1)
    polygons[~has_mask] = 0
    counts = np.array([len(around) for around in traced.values()], np.int64)
    ends = len(outlines.lengths) + np.cumsum(counts, dtype=np.int64)
    polygons[list(traced)] = np.stack([ends - counts, ends], axis=1)
    added = [outline for around in traced.values() for outline in around]
    lengths = np.concatenate([outlines.lengths, np.array([len(outline) for outline in added], np.int64)])
    # Only when there are traced polygons: this copies 150 MB for COCO.
    points = np.concatenate([outlines.points, *added]) if added else outlines.points
    return polygons, lengths, points


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """``(k + 1,)`` start of each of k parts with these lengths, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _findings(
    malformed: tuple[BadImage, ...], names: list[str], candidates: _Candidates, columns: _CheckedColumns
) -> Findings:
    """Counts annotations with a wrong box, invisible ones and those without a mask, and finds the first of each."""
    well_formed = np.flatnonzero(columns.well_formed)
    moved = well_formed[~columns.agrees[well_formed]]
    # The first invisible one is that of the first image with one; images in the order of their first annotation.
    _, first, image = np.unique(candidates.owners[well_formed], return_index=True, return_inverse=True)
    by_image = well_formed[np.argsort(first[image], kind="stable")]
    invisible = by_image[~columns.is_visible[by_image]]
    unmasked = by_image[columns.has_box[by_image] & ~columns.has_mask[by_image]]
    return Findings(
        malformed=malformed,
        persons=len(well_formed),
        moved=len(moved),
        first_moved=int(candidates.ids[moved[0]]) if len(moved) else 0,
        invisible=len(invisible),
        first_invisible=_place(invisible[0], names, candidates) if len(invisible) else "",
        boxless=int((~columns.has_box[moved]).sum()),
        unmasked=len(unmasked),
        first_unmasked=_place(unmasked[0], names, candidates) if len(unmasked) else "",
    )


def _place(number: int, names: Sequence[str], candidates: _Candidates) -> str:
    """Where annotation ``number`` of the candidates stands."""
    where = candidates.entries[number].get("where")
    if isinstance(where, Place):
        return where
    return f"annotation {candidates.ids[number]} on {shorten(names[candidates.owners[number]])}"
