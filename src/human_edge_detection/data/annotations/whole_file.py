"""Judges an annotation file as a whole, for mistakes that each annotation hides and all of them together show.

Arrays of all annotations are compared at once: 1.5 s for 250,000 persons, once, as the findings lie in the
index. No threshold is met by real, well-made data sets: see docs/reliability.md.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.columns import AnnotationColumns
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.equal_outlines import owners_of, polygons_of, repeated
from human_edge_detection.data.annotations.polygons_and_rle import is_plain, is_rectangle, shorten

_FITTING_IOU: Final = 0.9
"""A box that is read as it was meant has at least this IoU with the box around its mask."""
_MISFIT_IOU: Final = 0.75
"""A box with less is suspicious; a box around hidden parts of a person, too, has less."""
_FAR_IOU: Final = 0.5
_MIN_COUNT: Final = 3
"""So many annotations with the same mistake are no chance."""
_MIN_SHARE: Final = 0.05
_MAX_FAR_SHARE: Final = 0.1
_MAX_CROWD_SHARE: Final = 0.1
"""In COCO 1 % of the persons are crowd regions, and hardly any file has more than a few per cent."""
_MIN_IMAGES: Final = 4
"""Fewer images show nothing about where persons are on images."""
_OUTSIDE_SHARE: Final = 0.25
"""An outline with more of its box outside of the image is suspicious."""
_MAX_EXTENT: Final = 0.6
"""Outlines that all end before this fraction of the image in both directions were drawn on smaller images."""
_PERCENT: Final = 100.0
_MIN_PERCENT_SIDE_PX: Final = 130
_LARGE_SIDE_PX: Final = 200
_MAX_NAMED: Final = 4
_MAX_NUMBER: Final = 1e6
_NO_BOX: Final = [float("nan")] * 4
_FROM_MASKS: Final = "take the boxes around the masks: hed prepare-data --boxes from_masks"

_Corners = NDArray[np.float64]
"""``(m, 4)`` x1, y1, x2, y2 in pixels."""


class _Persons(NamedTuple):
    """The m persons with a mask, crowd regions left out.

    Attributes:
        given: ``(m, 4)`` the four numbers of ``bbox`` as they stand in the file; NaN where there are none.
        around: ``(m, 4)`` corners of the box around the polygons, which may reach beyond the image.
        sizes: ``(m, 2)`` height and width of the image.
        images: ``(m,)`` image ids.
    """

    given: NDArray[np.float64]
    around: _Corners
    sizes: NDArray[np.float64]
    images: NDArray[np.int64]


def judge_file(
    data: Mapping[str, Any], packed: AnnotationColumns, persons: Sequence[Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """What is wrong or suspicious in a COCO object as a whole.

    Args:
        data: The object.
        packed: Its person annotations that are well-formed and visible.
        persons: The entries of all its person annotations.
    """
    judged = _gather(packed, persons, data["images"])
    return (*_categories(data), *_crowds(packed), *_boxes(judged), *_outlines(judged), *_repeated(packed))


def _gather(
    packed: AnnotationColumns, persons: Sequence[Mapping[str, Any]], images: Sequence[Mapping[str, Any]]
) -> _Persons:
    """The persons in ``packed``, then those that it has no pixel of."""
    owners = owners_of(packed)
    _, _, counts = polygons_of(packed)
    is_person = np.arange(len(owners)) < packed.first_crowds[owners]
    kept = np.flatnonzero(is_person & (counts > 0))
    ids, around = packed.annotation_ids[kept], boxes_around(packed)[kept]
    # Outlines that no pixel is left of say most about a wrong unit.
    lost = dict(_without_pixels(persons, {*packed.annotation_ids[is_person].tolist()}))
    sizes = {image["id"]: (image["height"], image["width"]) for image in images} if lost else {}
    lost_images = [entry["image_id"] for entry in persons if entry["id"] in lost]
    lost_sizes = np.array([sizes[number] for number in lost_images], np.float64).reshape(-1, 2)
    ids = np.concatenate([ids, np.array([*lost], np.int64)])
    known = np.fromiter((entry["id"] for entry in persons), np.int64, len(persons))
    order = np.argsort(known)
    return _Persons(
        given=_given_boxes(persons)[order[np.searchsorted(known, ids, sorter=order)]],
        around=np.concatenate([around, np.array([*lost.values()], np.float64).reshape(-1, 4)]),
        sizes=np.concatenate([packed.sizes[owners[kept]], lost_sizes]),
        images=np.concatenate([packed.image_ids[owners[kept]], np.array(lost_images, np.int64)]),
    )


def boxes_around(packed: AnnotationColumns) -> _Corners:
    """``(m, 4)`` corners of the boxes around the polygons of each annotation; 0 for one without."""
    flat, _, counts = polygons_of(packed)
    around = np.zeros((len(counts), 4))
    has = counts > 0
    starts = (np.cumsum(counts) - counts)[has]
    for axis in (0, 1) if len(starts) else ():
        values = np.ascontiguousarray(packed.points[:, axis])
        for side, end in ((axis, np.minimum), (axis + 2, np.maximum)):
            around[has, side] = end.reduceat(end.reduceat(values, packed.polygon_offsets[:-1])[flat], starts)
    return around


def _without_pixels(persons: Sequence[Mapping[str, Any]], packed: set[int]) -> Iterator[tuple[int, list[float]]]:
    """Id and box around the polygons of each person that is not packed as one: what has a box is an ignored region."""
    for entry in persons:
        polygons = entry.get("segmentation")
        if entry["id"] in packed or entry.get("iscrowd") or not isinstance(polygons, list) or not polygons:
            continue
        if all(is_plain(one) and all(abs(value) < _MAX_NUMBER for value in one) for one in polygons):
            x, y = [v for one in polygons for v in one[::2]], [v for one in polygons for v in one[1::2]]
            yield entry["id"], [float(min(x)), float(min(y)), float(max(x)), float(max(y))]


def _given_boxes(persons: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """``(m, 4)`` the numbers of each ``bbox``; NaN where it is something else, or huge."""
    numbers = array("d")
    for entry in persons:
        box = entry.get("bbox")
        is_box = isinstance(box, list) and len(box) == 4 and {*map(type, box)} <= {int, float}
        try:
            numbers.fromlist(box if is_box else _NO_BOX)  # type: ignore[arg-type]
        except OverflowError:  # an integer too large for a float
            numbers.fromlist(_NO_BOX)
    boxes = np.asarray(numbers).reshape(-1, 4)
    return np.where((np.abs(boxes) < _MAX_NUMBER).all(axis=1, keepdims=True), boxes, np.nan)


def _categories(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Ids of categories that no category has."""
    listed = {entry["id"]: entry.get("name") for entry in data["categories"]}
    counts = Counter(entry["category_id"] for entry in data["annotations"])
    unlisted = {number: count for number, count in counts.items() if number not in listed}
    if not unlisted:
        return
    # Files that were filtered to some categories may keep the annotations of many others.
    certain = len(unlisted) == 1 or not any(number in listed for number in counts)
    ids = ", ".join(f"{number} ({count} annotations)" for number, count in Counter(unlisted).most_common(_MAX_NAMED))
    names = ", ".join(f"{number} {shorten(name)}" for number, name in [*listed.items()][:_MAX_NAMED])
    text = (
        f"{sum(unlisted.values())} of {len(data['annotations'])} annotations have a category_id that no category has: "
        f"{ids}; 'categories' lists {names}"
    )
    flag = ",".join(f"id {number}" for number, _ in Counter(unlisted).most_common(_MAX_NAMED))
    yield Finding(
        "categories",
        text,
        certain,
        f"if they are persons: hed prepare-data --category 'person,{flag}'; if not: --category person",
    )


def _crowds(packed: AnnotationColumns) -> Iterator[Finding]:
    """Persons that a tool wrote as crowd regions because they were drawn with a brush."""
    total, owners = len(packed.annotation_ids), owners_of(packed)
    rows = np.flatnonzero(np.arange(total) >= packed.first_crowds[owners])
    crowds = sum(not _is_rectangle(packed, row, packed.sizes[owners[row]].tolist()) for row in rows.tolist())
    if crowds > max(1, _MAX_CROWD_SHARE * total):
        text = (
            f"{crowds} of {total} person annotations ({crowds / total:.0%}) are crowd regions (iscrowd 1), which are "
            "ignored; CVAT writes each mask that was drawn with a brush so"
        )
        yield Finding("crowds", text, crowds == total, "if each is one person: hed prepare-data --crowds person")


def _is_rectangle(packed: AnnotationColumns, row: int, size: list[int]) -> bool:
    """Whether a crowd region is a rectangle, which stands for a person with a box and no mask."""
    start, end = packed.runs[row].tolist()
    return is_rectangle({"size": size, "counts": packed.run_lengths[start:end].tobytes().decode("ascii")})


def _boxes(persons: _Persons) -> Iterator[Finding]:
    """Boxes in another order or unit than x, y, width, height, and boxes that do not fit their masks."""
    known = (persons.given[:, 2:] > 0).all(axis=1) & (persons.around[:, 2] > persons.around[:, 0])
    given, sizes, around = persons.given[known], persons.sizes[known], persons.around[known]
    around = _clipped(around, sizes)
    usual = _ious(_clipped(_as_corners(given), sizes), around)
    misfits = usual < _MISFIT_IOU
    if not misfits.any():
        return
    # 1. How the misfits would have to be read to fit.
    best, explained, fits = "", 0, usual
    for name, corners in _readings(given[misfits], sizes[misfits]).items():
        ious = _ious(_clipped(corners, sizes[misfits]), around[misfits])
        if (count := int((ious >= _FITTING_IOU).sum())) > explained:
            best, explained, fits = name, count, ious
    if explained >= 2:
        text = (
            f"{explained} of {len(usual)} boxes fit their masks as {best}, not as x, y, width, height (median IoU with "
            f"the mask's box {np.median(fits):.2f} against {np.median(usual[misfits]):.2f})"
        )
        certain = explained >= max(_MIN_COUNT, _MIN_SHARE * len(usual))
        yield Finding("boxes", text, certain, f"write bbox as in COCO, or {_FROM_MASKS}")
        return
    # 2. Boxes that fit in no way.
    far = int((usual < _FAR_IOU).sum())
    if far >= _MIN_COUNT and far > _MAX_FAR_SHARE * len(usual):
        low, middle = np.percentile(usual, [10, 50])
        text = (
            f"{far} of {len(usual)} boxes ({far / len(usual):.0%}) have an IoU below {_FAR_IOU} with the box around "
            f"their mask (median of all {middle:.2f}, lowest tenth below {low:.2f}); the model is asked about boxes"
        )
        yield Finding("boxes", text, False, f"look at some, or {_FROM_MASKS}")


def _readings(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> dict[str, _Corners]:
    """Corners in pixels of boxes ``(m, 4)`` in every order and unit that tools write."""
    transposed = boxes[:, [1, 0, 3, 2]]
    units: dict[str, Any] = {
        "": 1.0,
        "fractions of the image, ": sizes[:, [1, 0, 1, 0]],
        "percent, ": sizes[:, [1, 0, 1, 0]] / _PERCENT,
    }
    orders = {
        "x1, y1, x2, y2": boxes,
        "centre x, centre y, width, height": _from_centre(boxes),
        "y1, x1, y2, x2": transposed,
        "y, x, height, width": _as_corners(transposed),
    }
    found = {f"{unit}{order}": corners * factor for order, corners in orders.items() for unit, factor in units.items()}
    usual = _as_corners(boxes)
    return found | {f"{unit}x, y, width, height": usual * factor for unit, factor in units.items() if unit}


def _as_corners(boxes: NDArray[np.float64]) -> _Corners:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _from_centre(boxes: NDArray[np.float64]) -> _Corners:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _clipped(corners: _Corners, sizes: NDArray[np.float64]) -> _Corners:
    clipped: _Corners = np.clip(corners, 0, sizes[:, [1, 0, 1, 0]])
    return clipped


def _areas(corners: _Corners) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.maximum(corners[:, 2:] - corners[:, :2], 0).prod(axis=1)
    return areas


def _ious(a: _Corners, b: _Corners) -> NDArray[np.float64]:
    """``(m,)`` IoU of boxes; 0 where both have no area."""
    both = _areas(np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1))
    union = _areas(a) + _areas(b) - both
    ious: NDArray[np.float64] = np.divide(both, union, out=np.zeros(len(a)), where=union > 0)
    return ious


def _outlines(persons: _Persons) -> Iterator[Finding]:
    """Outlines in another unit than pixels, on another scale than the images, or outside of them."""
    around, sizes, total = persons.around, persons.sizes, len(persons.around)
    if not total:
        return
    # 1. Fractions: all within 0 and 1, and not integers, as a mask of one pixel would have.
    is_fraction = ((around >= 0) & (around <= 1)).all(axis=1) & (around % 1 != 0).any(axis=1)
    if count := int(is_fraction.sum()):
        text = f"{count} of {total} outlines lie within 0 and 1: they are fractions of the image's sides, not pixels"
        certain = count >= max(2, _MIN_SHARE * total)
        yield Finding("outlines", text, certain, "write pixels, or hed prepare-data --outlines fractions")
        return
    # 2. Percent or a smaller image: the right and lower parts of all images are empty.
    reach = float(around[:, 2:].max())
    extent = float((around[:, 2] / sizes[:, 1]).max()), float((around[:, 3] / sizes[:, 0]).max())
    enough = total >= 2 * _MIN_COUNT and len(np.unique(persons.images)) >= _MIN_IMAGES
    if enough and around.min() >= 0 and reach <= _PERCENT and float(np.median(sizes)) >= _MIN_PERCENT_SIDE_PX:
        text = (
            f"no coordinate of {total} outlines exceeds {reach:.4g}, on images of {np.median(sizes[:, 1]):.0f} x "
            f"{np.median(sizes[:, 0]):.0f} (median): they look like percent of the image's sides, not pixels"
        )
        certain = bool(total >= 20 and reach > 0.95 * _PERCENT and sizes.min() >= _LARGE_SIDE_PX)
        yield Finding("outlines", text, certain, "if so, write pixels, or hed prepare-data --outlines percent")
    elif enough and max(extent) < _MAX_EXTENT:
        text = (
            f"all {total} outlines end before {extent[0]:.0%} of the width and {extent[1]:.0%} of the height of their "
            "images"
        )
        yield Finding(
            "outlines", text, False, "if they were drawn on smaller images, give those, or scale the outlines"
        )
    # 3. Outside: a part of each outline's box, as most outlines reach no further than a pixel.
    areas = _areas(around)
    outside = np.divide(areas - _areas(_clipped(around, sizes)), areas, out=np.zeros(total), where=areas > 0)
    count = int((outside > _OUTSIDE_SHARE).sum())
    if count >= _MIN_COUNT and count > _MIN_SHARE * total:
        text = (
            f"{count} of {total} outlines ({count / total:.0%}) lie outside of their image with more than "
            f"{_OUTSIDE_SHARE:.0%} of their area (of all: {outside.mean():.0%})"
        )
        certain = count > total / 2
        mend = "give the images that they were drawn on, or scale the outlines"
        turned = np.divide(
            areas - _areas(_clipped(around, sizes[:, ::-1])), areas, out=np.zeros(total), where=areas > 0
        )
        if int((turned > _OUTSIDE_SHARE).sum()) < _MIN_SHARE * count:
            text += "; they lie within it when its width and height are exchanged"
            mend = "exchange them, or where EXIF turns the images, say what they were drawn on: hed prepare-data --exif"
        yield Finding("outlines", text, certain, mend)


def _repeated(packed: AnnotationColumns) -> Iterator[Finding]:
    """Persons that are given twice on one image."""
    twice = repeated(packed)
    if len(twice):
        text = (
            f"{len(twice)} of {len(packed.annotation_ids)} person annotations repeat the outline of another one on the "
            f"same image (first: {packed.annotation_ids[twice[0]]}), so one person counts twice"
        )
        yield Finding("repeated", text, False, "leave the copies out: hed prepare-data --duplicates drop")
