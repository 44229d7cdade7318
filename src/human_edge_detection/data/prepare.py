"""Making a person-only data set out of COCO files: filter, shrink, check, count."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.coco import (
    AnnotatedImage,
    AnnotationSet,
    CocoSplit,
    PersonAnnotation,
)
from human_edge_detection.data.annotations.columns import AnnotatedImages
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.person_checks import MIN_BOX_IOU, person_entries
from human_edge_detection.data.annotations.polygons_and_rle import (
    Box,
    Segmentation,
    box_iou,
    box_polygon,
    compress,
    decode_mask,
    mask_area_and_box,
    shorten,
    whole_pixels,
)
from human_edge_detection.data.dataset import Scene, read_scene, roi_masks
from human_edge_detection.data.images.metadata import without_personal_data
from human_edge_detection.data.images.read import read_image_file
from human_edge_detection.data.images.unended_jpeg import with_end
from human_edge_detection.data.judgement.images import REPORT_FILE
from human_edge_detection.data.judgement.whole_split import JudgedSplit, Mending, judge_all
from human_edge_detection.data.statistics import Statistics, suggested_class_weights
from human_edge_detection.errors import DataError
from human_edge_detection.files.strict_json import count_not_finite, strict_json
from human_edge_detection.files.whole_folder import whole_folder
from human_edge_prediction.boxes import fit_boxes
from human_edge_prediction.resampling import resize

logger = logging.getLogger(__name__)

STATISTICS_FILE = "statistics.json"
_MADE_BY = "hed prepare-data"
_WEIGHTS_RULE = "inverse square root of the roi pixel shares of the first split, scaled to a mean of 1"
_OUTPUT_ENTRIES = {"annotations", "images", STATISTICS_FILE, REPORT_FILE}
_ROI_SIZE = (80, 60)
_JPEG = (".jpg", ".jpeg")
_JPEG_QUALITY = 95

Track = Callable[[Iterable[AnnotatedImage], str, int], Iterable[AnnotatedImage]]
"""Wraps the images of a split to show progress: images, name of the split, their number."""


@dataclass(frozen=True)
class Preparation:
    """What to do.

    Attributes:
        crowds: Keep crowd regions, which training ignores, remove them: their pixels are then background, or take each
            as a person. The boxes of persons without a mask are kept.
        exhaustive: Every person of an image is annotated, unless ``exhaustive: false`` stands with the image; False: of
            no image that is said.
        max_images: Most images of a split, chosen at random; None for all.
        max_side: Longest side of an image in pixels, larger ones are shrunk; None to leave them.
        seed: Seed of the choice.
        mending: What is done about a data set that is wrong as a whole.
    """

    crowds: Literal["ignore", "remove", "person"] = "ignore"
    max_images: int | None = None
    max_side: int | None = None
    seed: int = 0
    exhaustive: bool = True
    mending: Mending = field(default_factory=Mending)


@dataclass(frozen=True)
class Prepared:
    """What was made: statistics and findings by split, and the class weights that the first split suggests."""

    statistics: Mapping[str, Statistics]
    findings: Mapping[str, tuple[Finding, ...]]
    class_weights: list[float]


def prepare(
    splits: Mapping[str, CocoSplit],
    output: Path,
    preparation: Preparation,
    track: Track = lambda records, split, count: records,
) -> Prepared:
    """Writes the folder ``output``: annotations, images, ``statistics.json``, ``prepare_report.json``; all or nothing.

    Every annotation is checked, each split is judged as a whole, and every image decoded. No image file keeps personal
    metadata (GPS, EXIF, XMP, comments). Those that keep their size and have none are hard-linked, or copied where that
    is impossible.

    Args:
        splits: By name of the split, for example ``train``; what is annotated as ``person`` is taken.
        output: Folder to make; one that this function made before is replaced.
        preparation: What to do.
        track: Shows progress.

    Raises:
        DataError: Input is missing or malformed, or ``output`` holds something else.
        BusyError: Another process writes ``output``.
    """
    try:
        with whole_folder(output, "data set") as building:
            _check_output(output, splits)
            if not preparation.exhaustive:
                splits = {name: _not_exhaustive(split) for name, split in splits.items()}
            judged = judge_all(splits, preparation.mending, crowds_are_persons=preparation.crowds == "person")
            statistics = {
                name: _write_split(building, name, one.people, one.split.data, preparation, track)
                for name, one in judged.items()
            }
            weights = suggested_class_weights(next(iter(statistics.values())).class_shares)
            report = {
                "made_by": _MADE_BY,
                "preparation": asdict(preparation),
                "splits": {name: counted.as_json() for name, counted in statistics.items()},
                "class_weights": weights,
                "class_weights_rule": _WEIGHTS_RULE,
            }
            (building / STATISTICS_FILE).write_text(strict_json(report, indent=2) + "\n", encoding="utf-8")
            (building / REPORT_FILE).write_text(strict_json(_report(judged), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output} cannot be written ({error}); free space or choose another folder") from error
    return Prepared(statistics, {name: one.people.findings for name, one in judged.items()}, weights)


def _report(judged: Mapping[str, JudgedSplit]) -> dict[str, Any]:
    """What was found about each split, and what is not in it."""
    return {
        "made_by": _MADE_BY,
        "splits": {
            name: {
                "source": str(one.split.source),
                "findings": [finding._asdict() for finding in one.people.findings],
                "left_out_images": [sample._asdict() for sample in one.people.skipped],
                "dropped_copies": dict(one.dropped),
            }
            for name, one in judged.items()
        },
    }


def _not_exhaustive(split: CocoSplit) -> CocoSplit:
    """The split with persons that may not be annotated on each of its images."""
    images = [{**image, "exhaustive": False} for image in split.data["images"]]
    return split._replace(data={**split.data, "images": images})


def _check_output(output: Path, splits: Mapping[str, CocoSplit]) -> None:
    inside = output.resolve()
    for path in (path for split in splits.values() for path in (split.source, split.images_dir)):
        if path.resolve().is_relative_to(inside):
            raise DataError(f"output folder {output} holds the input {path}; choose another output folder")
    if output.is_dir() and any(output.iterdir()) and not _is_own(output):
        raise DataError(f"output folder {output} is not empty and not made by {_MADE_BY}; choose another or empty it")
    if output.exists() and not output.is_dir():
        raise DataError(f"output {output} is a file; choose a folder")


def _is_own(output: Path) -> bool:
    """Whether the folder holds what this module wrote, and nothing else at its top."""
    if _OUTPUT_ENTRIES - {entry.name for entry in output.iterdir()} - {REPORT_FILE}:
        return False
    if {entry.name for entry in output.iterdir()} - _OUTPUT_ENTRIES:
        return False
    try:
        report = json.loads((output / STATISTICS_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("made_by") == _MADE_BY


def _write_split(
    root: Path, split: str, people: AnnotationSet, data: dict[str, Any], preparation: Preparation, track: Track
) -> Statistics:
    entries = {entry["id"]: entry for entry in data["images"]}
    # As they stand in the data: packed, integers are fractions and run lengths compressed.
    segmentations, crowd_ids = {}, set()
    for _, entry in person_entries(data):
        segmentations[entry["id"]] = entry.get("segmentation") or []
        if entry.get("iscrowd"):
            crowd_ids.add(entry["id"])
    chosen = _choose(people.images, preparation)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    statistics, lost = Statistics(), []
    for record in track(chosen, split, len(chosen)):
        if preparation.crowds == "remove":
            record = replace(record, crowds=tuple(region for region in record.crowds if region.id not in crowd_ids))
        scene = read_scene(people, record)
        size = _shrunk_size(record, preparation.max_side)
        _place(people, record, scene.image, size, root / "images" / split / record.file_name)
        written = _annotations((*record.persons, *record.crowds), record, size, segmentations)
        persons = [entry for entry in written if not entry["iscrowd"]]
        crowds = [entry for entry in written if entry["iscrowd"]]
        known = {person.id for person in record.persons}
        lost += [f"annotation {entry['id']} on {shorten(record.file_name)}" for entry in crowds if entry["id"] in known]
        areas = [entry["area"] for entry in persons]
        statistics.add(areas, len(crowds), _roi_masks(scene, record), exhaustive=record.exhaustive)
        images.append({**entries[record.id], "file_name": record.file_name, "height": size[0], "width": size[1]})
        annotations += persons + crowds
    if not statistics.persons:
        raise DataError(f"{people.file}: no persons in the {len(chosen)} images chosen; give a larger --max_images")
    if lost:
        logger.warning(
            "%s: %d of %d persons have no pixel left after shrinking; what is in their boxes is ignored (first: %s)",
            people.file,
            len(lost),
            statistics.persons + len(lost),
            lost[0],
        )
    category = [{"id": 1, "name": "person", "supercategory": "person"}]
    kept_keys: dict[str, Any] = {key: data[key] for key in ("info", "licenses") if key in data}
    file = root / "annotations" / f"instances_{split}_person.json"
    file.parent.mkdir(exist_ok=True)
    result: dict[str, Any] = {**kept_keys, "images": images, "annotations": annotations, "categories": category}
    not_finite = count_not_finite([result["images"], *kept_keys.values()])
    if not_finite:
        logger.warning("%s: %d numbers are NaN or infinite; written as null", people.file, not_finite)
    file.write_text(strict_json(result) + "\n", encoding="utf-8")
    return statistics


def _choose(records: AnnotatedImages, preparation: Preparation) -> AnnotatedImages:
    if preparation.max_images is None or len(records) <= preparation.max_images:
        return records
    order = np.random.default_rng(preparation.seed).permutation(len(records))
    return records.select(np.sort(order[: preparation.max_images]))


def _shrunk_size(record: AnnotatedImage, max_side: int | None) -> tuple[int, int]:
    longest = max(record.height, record.width)
    factor = 1.0 if max_side is None else min(1.0, max_side / longest)
    return max(1, round(record.height * factor)), max(1, round(record.width * factor))


def _roi_masks(scene: Scene, record: AnnotatedImage) -> NDArray[np.uint8]:
    boxes = np.array([person.box for person in record.persons], np.float32).reshape(-1, 4)
    numbers = np.arange(len(boxes))
    return roi_masks(scene, fit_boxes(boxes, (record.height, record.width)), numbers, _ROI_SIZE)


def _place(
    people: AnnotationSet, record: AnnotatedImage, image: NDArray[np.uint8], size: tuple[int, int], target: Path
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if size == (record.height, record.width):
        source = (people.images_dir / record.file_name).resolve()
        content = read_image_file(source)
        kept = without_personal_data(with_end(content))
        if kept == content:
            _link_or_copy(source, target)
        else:
            target.unlink(missing_ok=True)
            target.write_bytes(kept)
    else:
        _encode(resize(image, size), target)


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def _encode(image: NDArray[np.uint8], target: Path) -> None:
    try:
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if target.suffix.lower() in _JPEG else []
        done, content = cv2.imencode(target.suffix, image[..., ::-1], quality)
    except cv2.error:
        done = False
    if not done:
        raise DataError(f"image {target.name}: {target.suffix!r} cannot be written; convert it to .jpg or .png")
    target.write_bytes(content.tobytes())


def _annotations(
    people: tuple[PersonAnnotation, ...],
    record: AnnotatedImage,
    size: tuple[int, int],
    segmentations: Mapping[int, Segmentation],
) -> list[dict[str, Any]]:
    """COCO annotations in an image of ``size`` (height, width).

    The box of a person without a mask is written as a crowd region, also when it is shrinking that leaves no pixel.
    """
    entries = []
    for person in people:
        segmentation, box = segmentations[person.id], person.box
        if person.is_crowd and not mask_area_and_box(segmentation, record.height, record.width)[0]:
            segmentation = person.segmentation  # the box of a person without a mask
        if size != (record.height, record.width):
            segmentation, box = _scaled(person, record, size)
        area, around = mask_area_and_box(segmentation, *size)
        is_region = person.is_crowd or not area
        if not area:
            segmentation = _box_region(box, size)
            area, around = mask_area_and_box(segmentation, *size)
        if box_iou(box, around) < MIN_BOX_IOU:  # a few pixels are left: they are not where fractions of them were
            box = around
        x1, y1, x2, y2 = box
        entries.append(
            {
                "id": person.id,
                "image_id": record.id,
                "category_id": 1,
                "iscrowd": int(is_region),
                "area": float(area),
                "bbox": [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
                "segmentation": segmentation,
            }
        )
    return entries


def _box_region(box: Box, size: tuple[int, int]) -> Segmentation:
    """The RLE of a box in an image of ``size`` (height, width)."""
    packed = compress([box_polygon(whole_pixels(box))], *size)
    return {"size": list(size), "counts": packed["counts"].decode()}


def _scaled(person: PersonAnnotation, record: AnnotatedImage, size: tuple[int, int]) -> tuple[Segmentation, Box]:
    factors = size[1] / record.width, size[0] / record.height
    x1, y1, x2, y2 = (value * factors[number % 2] for number, value in enumerate(person.box))
    if isinstance(person.segmentation, list):
        polygons = [
            [round(value * factors[number % 2], 2) for number, value in enumerate(polygon)]
            for polygon in person.segmentation
        ]
        return polygons, (x1, y1, x2, y2)
    mask = decode_mask(person.segmentation, record.height, record.width)
    shrunk = (resize(mask.astype(np.float32), size) >= 0.5).astype(np.uint8)
    packed = coco_mask.encode(np.asfortranarray(shrunk))
    return {"size": list(size), "counts": packed["counts"].decode()}, (x1, y1, x2, y2)
