"""Images that only the teacher speaks about: which they are, and where its own detector sees persons on them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from human_edge_detection import __version__
from human_edge_detection.advanced.detector import find_persons
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.scan import Scan, scan_images
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.data.unlabelled import Boxes, boxes_in_file, find_unlabelled, with_boxes
from human_edge_detection.engine.build import Splits, build_validation_set, read_split
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.teaching.teacher import Teacher
from human_edge_detection.errors import ConfigError, DataError, StorageError
from human_edge_detection.experiments.schema.data import OWN_BOXES, DataConfig
from human_edge_detection.files.cache import cache_folder, read_cached
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import make_folder, write_json
from human_edge_detection.metrics.detection import MOST
from human_edge_detection.runs.model_facts.split_scores import own_test_split
from human_edge_detection.runs.paths import scan_cache

logger = logging.getLogger(__name__)

WEAK_MIOU: Final = 0.5
"""A teacher with less on the validation images is warned about: here no truth beside it mends what it says."""
_NOBODY_FOUND: Final = "give a lower data.unlabelled.min_score, a better teacher, or a file of boxes"
_DECIMALS: Final = 2
"""Of a pixel, to which found boxes are rounded, so that they do not depend on the last bits of an arithmetic."""

StoredBoxes = list[list[list[float]]]
"""For each image, for each box: x1, y1, x2, y2 in pixels."""


class Unlabelled(NamedTuple):
    """The images, and where to look.

    Attributes:
        people: The images; where boxes are known, each is a person.
        fingerprint: Of the image files, and of where the boxes come from; not of what a detector finds.
    """

    people: AnnotationSet
    fingerprint: str


def read_unlabelled(data: DataConfig, splits: Splits, *, alive: Callable[[], None] = lambda: None) -> Unlabelled | None:
    """The images that ``data`` names, checked, with the boxes of a file if there is one; None: it names none.

    Args:
        data: The section.
        splits: The splits, whose images are none of these.
        alive: Called now and then while the images are checked.

    Raises:
        DataError: The images or the file with their boxes cannot be used.
    """
    section = data.unlabelled
    if section is None:
        return None
    cache = scan_cache(data)
    people = find_unlabelled(
        Path(section.images),
        skip_bad=data.on_bad_sample == "skip",
        scan_cache=cache and cache.with_stem(f"{cache.stem}_unlabelled_{_short(section.images)}"),
        others={**_scans(splits, cache), **_test_scan(data, cache)},
        after_image=alive,
    )
    boxes = "none" if section.boxes is None else f"{section.boxes} {section.min_score!r}"
    if section.boxes not in (None, OWN_BOXES):
        file = Path(section.boxes)
        people = with_boxes(people, boxes_in_file(file, people, min_score=section.min_score))
        boxes = f"{file_sha256(file)} {section.min_score!r}"
    return Unlabelled(people, hashlib.sha256(f"{people.images_fingerprint}\n{boxes}".encode()).hexdigest())


def with_own_boxes(unlabelled: Unlabelled, boxes: Boxes) -> Unlabelled:
    """The same images with the boxes that a detector found."""
    return unlabelled._replace(people=with_boxes(unlabelled.people, boxes))


def asks_detector(data: DataConfig) -> bool:
    """Whether the teacher's detector says where persons are on images without labels."""
    return data.unlabelled is not None and data.unlabelled.boxes == OWN_BOXES


def find_boxes(
    teacher: Teacher,
    people: AnnotationSet,
    *,
    min_score: float,
    device: torch.device,
    loading: Loading,
    alive: Callable[[], None] = lambda: None,
) -> Boxes:
    """Where the teacher's detector sees persons; what it found before on the same images is remembered.

    Args:
        teacher: Of several, the first that has a detector is asked, at the size of its images.
        people: The images.
        min_score: Who is less likely is left out.
        device: Where the teacher is.
        loading: How the images get there.
        alive: Called after each batch.

    Raises:
        ConfigError: It has no detector.
        DataError: An image cannot be read.
    """
    asked = next((one for one in (teacher, *teacher.others) if one.frozen.model.detector is not None), None)
    if asked is None:
        raise ConfigError(
            f"data.unlabelled.boxes: the teacher {teacher.path} has no detector to find them; give a file of boxes, a "
            "teacher with model.detector, or null for none"
        )
    known = [asked.sha256, people.images_fingerprint, people.images.sizes.tolist(), min_score, __version__]
    folder = cache_folder()
    file = folder and folder / "teacher_boxes" / f"{_short(json.dumps(known))}.json"
    stored = read_cached(StoredBoxes, file)
    if stored is not None and len(stored) == len(people.images):
        logger.info("the teacher found %d persons on the images without labels before: %s", sum(map(len, stored)), file)
        return unpacked(stored)
    found = _look(asked, people, min_score, device, loading, alive)
    persons = sum(map(len, found))
    logger.log(
        logging.INFO if persons else logging.WARNING,
        "the teacher finds %d persons on %d of the %d images without labels%s",
        persons,
        sum(map(bool, found)),
        len(found),
        "" if persons else f", so only heads of the whole image are taught there; {_NOBODY_FOUND}",
    )
    try:
        if file is not None:
            make_folder(file.parent)
            write_json(file, found)
    except StorageError as error:
        logger.info("looked for again next time: %s", error)
    return unpacked(found)


def warn_of_weak_teacher(score: float | None, drawn: int, labelled: int) -> None:
    """Says what may come of a teacher that has ``score`` on the validation images, before hours are spent.

    Args:
        score: Its mIoU there; None: nothing was counted.
        drawn: Images without labels of an epoch.
        labelled: Labelled ones.
    """
    if score is not None and score < WEAK_MIOU:
        logger.warning(
            "the teacher has mIoU %.4f on the validation images, below %.2f, and it alone speaks about %d of the %d "
            "images of an epoch: its mistakes there are learnt; give a better teacher, a lower data.unlabelled.ratio, "
            "or a higher data.unlabelled.confidence",
            score,
            WEAK_MIOU,
            drawn,
            drawn + labelled,
        )


def unpacked(stored: StoredBoxes) -> Boxes:
    """Boxes as they are in a file."""
    return [np.array(boxes, np.float32).reshape(-1, 4) for boxes in stored]


def packed(boxes: Boxes) -> StoredBoxes:
    """Boxes for a file, in which :func:`unpacked` finds the same."""
    return [each.astype(float).tolist() for each in boxes]


@torch.no_grad()
def _look(
    teacher: Teacher,
    people: AnnotationSet,
    min_score: float,
    device: torch.device,
    loading: Loading,
    alive: Callable[[], None],
) -> StoredBoxes:
    config = teacher.checkpoint.config.model
    batches = validation_batches(
        build_validation_set(config, people),
        batch_size=loading.validation_batch(config.image_size),
        num_workers=loading.workers,
        pin=loading.pin,
    )
    found: StoredBoxes = []
    for batch in batches:
        images = batch.to(device).images.contiguous(memory_format=torch.channels_last)
        output = teacher.frozen.model(images, batch.rois[:0].to(device))
        rois, _ = find_persons(output.aux["centre_logits"], output.aux["person_boxes"], most=MOST).as_rois(min_score)
        found += _in_pixels(
            rois.double().cpu().numpy(), people.images.sizes[len(found) : len(found) + len(images)].tolist()
        )
        alive()
    return found


def _in_pixels(rois: np.ndarray[tuple[int, ...], np.dtype[np.float64]], sizes: Sequence[Sequence[int]]) -> StoredBoxes:
    """``(N, 5)`` rois, with boxes as fractions, image by image."""
    return [
        (rois[rois[:, 0] == number, 1:] * [width, height, width, height]).round(_DECIMALS).tolist()
        for number, (height, width) in enumerate(sizes)
    ]


def _scans(splits: Splits, cache: Path | None) -> dict[str, Scan]:
    return {
        name: scan_images(people, cache=cache and cache.with_stem(f"{cache.stem}_{name}"))
        for name, people in splits._asdict().items()
    }


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _test_scan(data: DataConfig, cache: Path | None) -> dict[str, Scan]:
    """What is known of the images of a test split that can be read: nobody may learn from them."""
    paths = None if data.sample is not None else own_test_split(data, Path())
    if paths is None:
        return {}
    cache = cache and cache.with_stem(f"{cache.stem}_test")
    try:
        return {"test": scan_images(read_split(paths, cache, skip=True), cache=cache)}
    except DataError as error:
        logger.warning("the test split cannot be used, so copies of its images are not looked for: %s", error)
        return {}
