"""Images without labels: which there are, that they can be read, and where persons are on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet, BadImage, refusal
from human_edge_detection.data.annotations.columns import AnnotatedImages
from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.data.annotations.scan import Scan, scan_images
from human_edge_detection.data.boxes_as_persons import images_with_boxes
from human_edge_detection.data.images.read import image_size
from human_edge_detection.errors import DataError
from human_edge_detection.files.image_folder import image_files_below
from human_edge_prediction.errors import BoxError, SourceError
from human_edge_prediction.sources.given_boxes import (
    NOBODY,
    Annotations,
    GivenBoxes,
    ImageBoxes,
    annotated_boxes,
    read_boxes,
    read_json,
)
from human_edge_prediction.sources.listing import Source

logger = logging.getLogger(__name__)

_FIELD: Final = "data.unlabelled.images"
_THREADS: Final = 16
"""On a network disk most of the time is spent waiting."""

Boxes = Sequence[NDArray[np.float32]]
"""``(n, 4)`` x1, y1, x2, y2 in pixels of the image file, for each image."""


def find_unlabelled(
    folder: Path,
    *,
    skip_bad: bool,
    scan_cache: Path | None = None,
    others: Mapping[str, Scan] | None = None,
    after_image: Callable[[], None] = lambda: None,
) -> AnnotationSet:
    """The images in ``folder`` and below, read once, with nobody on them.

    Args:
        folder: Of image files.
        skip_bad: Leave out what cannot be used, with a warning, instead of refusing it.
        scan_cache: As for :func:`~human_edge_detection.data.annotations.scan.scan_images`.
        others: By name, what is known of the images of the splits. Copies of them are left out, with a warning: of
            training images the truth is known, and a teacher is to say nothing of what a student is measured on.
        after_image: Called after each image that is checked.

    Raises:
        DataError: There is no such folder, no image in it, none that can be used, or one that cannot.
    """
    names = image_files_below(folder)
    if not names:
        problem = "no image file in it or below" if folder.is_dir() else "no such folder"
        raise DataError(f"{_FIELD}: {folder}: {problem}; give a folder of images")
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(lambda name: _size(folder, name), names))
    bad = [BadImage(name, size) for name, size in zip(names, sizes, strict=True) if isinstance(size, str)]
    good = {name: size for name, size in zip(names, sizes, strict=True) if not isinstance(size, str)}
    found = AnnotationSet(folder, folder, _nobody_on(good), sha256="")
    scan = scan_images(found, cache=scan_cache, after_image=after_image)
    bad = sorted([*bad, *scan.bad])
    if bad and not (skip_bad and len(bad) < len(names)):
        raise refusal(replace(found, images=_nobody_on(dict.fromkeys(names, (1, 1)))), bad)
    if bad:
        logger.warning("%s: %d of %d images are left out (first: %s)", folder, len(bad), len(names), bad[0].file_name)
    left = {name: good[name] for name in good if name not in {sample.file_name for sample in bad}}
    for split, known in (others or {}).items():
        left = _without_copies(folder, left, scan, split, known)
    images = _nobody_on(left)
    return replace(found, images=images, skipped=tuple(bad), images_fingerprint=scan.fingerprint(images.file_names))


def with_boxes(people: AnnotationSet, boxes: Boxes) -> AnnotationSet:
    """``people`` with these boxes for persons; who lies outside of an image is left out."""
    sizes = [(height, width) for height, width in people.images.sizes.tolist()]
    return replace(people, images=images_with_boxes(people.images.file_names, sizes, boxes))


def boxes_in_file(path: Path, people: AnnotationSet, *, min_score: float) -> Boxes:
    """The boxes that a file gives for the images of ``people``.

    Args:
        path: COCO results, COCO annotations, or boxes by file name, see
            :func:`human_edge_prediction.sources.given_boxes.read_boxes`.
        people: The images.
        min_score: A box with a smaller score is left out.

    Raises:
        DataError: It is of another format, knows none of the images, or knows one in another size.
    """
    names = people.images.file_names
    sources = [Source(people.images_dir / name, name, False) for name in names]
    try:
        given = _given(path, sources)
    except SourceError as error:
        raise DataError(f"data.unlabelled.boxes: {error}") from error
    sizes = [(height, width) for height, width in people.images.sizes.tolist()]
    found = [_of_image(given, path, source, size) for source, size in zip(sources, sizes, strict=True)]
    missing = [name for name, boxes in zip(names, found, strict=True) if boxes is None]
    if missing:
        logger.warning(
            "%s: %d of %d images without labels are not in it (first: %s): no person is looked at there",
            path,
            len(missing),
            len(names),
            shorten(missing[0]),
        )
    sure = [_sure(NOBODY if boxes is None else boxes, min_score) for boxes in found]
    if not with_boxes(people, sure).images.person_counts.sum():
        logger.warning(
            "%s: of its %d boxes on images without labels none has a score of %g or more and lies in its image, "
            "expected x1, y1, x2, y2 in pixels: no person is looked at there",
            path,
            sum(len(boxes.boxes) for boxes in found if boxes is not None),
            min_score,
        )
    return sure


def _sure(found: ImageBoxes, min_score: float) -> NDArray[np.float32]:
    return found.boxes if found.scores is None else found.boxes[found.scores >= min_score]


def _given(path: Path, sources: Sequence[Source]) -> GivenBoxes:
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        return annotated_boxes(Annotations(path), sources)
    return read_boxes(path, None, sources)


def _of_image(given: GivenBoxes, path: Path, source: Source, size: tuple[int, int]) -> ImageBoxes | None:
    try:
        found = given.of_image(source.name, size)
    except BoxError as error:
        raise DataError(f"data.unlabelled.boxes: image {source.path} {error}") from error
    if found is not None and not np.isfinite(found.boxes).all():
        raise DataError(f"data.unlabelled.boxes: {path}: a box of {shorten(source.name)} is not finite; mend it")
    return found


def _size(folder: Path, name: str) -> tuple[int, int] | str:
    """Height and width of an image file, or why it has none."""
    try:
        return image_size(folder / name)
    except DataError as error:
        return str(error).removeprefix(f"image {folder / name} ")


def _nobody_on(sizes: Mapping[str, tuple[int, int]]) -> AnnotatedImages:
    return images_with_boxes(list(sizes), list(sizes.values()), [np.zeros((0, 4), np.float32)] * len(sizes))


def _without_copies(
    folder: Path, sizes: Mapping[str, tuple[int, int]], scan: Scan, split: str, known: Scan
) -> dict[str, tuple[int, int]]:
    digests = {*known.digests.values()}
    copies = [name for name in sizes if scan.digests[name] in digests]
    if len(copies) == len(sizes):
        raise DataError(
            f"{_FIELD}: {folder}: all {len(sizes)} images are {split} images, byte for byte; give a folder of others"
        )
    if copies:
        logger.warning(
            "%s: %d of %d images are %s images, byte for byte (first: %s), and are left out",
            folder,
            len(copies),
            len(sizes),
            split,
            shorten(copies[0]),
        )
    return {name: size for name, size in sizes.items() if name not in {*copies}}
