"""Shapes that people draw, as persons: for formats that have one file an image, or no COCO in them."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.coco import CocoSplit, check_image_size
from human_edge_detection.data.annotations.person_checks import Malformed, Place
from human_edge_detection.data.annotations.polygons_and_rle import (
    Segmentation,
    box_iou,
    check_segmentation,
    compress,
    mask_area_and_box,
)
from human_edge_detection.errors import DataError

logger = logging.getLogger(__name__)

_AROUND_IOU: Final = 0.5
"""A box whose IoU with the rest of its group is at least this is the box around it, not a part of the person."""
_CIRCLE_POINTS: Final = 90
"""Corners of a polygon in place of a circle: 0.06 pixels off at a radius of 100."""


Kind = Literal["mask", "box", "none"]
"""``mask``: an outline of the person; ``box``: one around the person; ``none``: points, lines, what has no area."""


class Shape(NamedTuple):
    """One shape of an image.

    Attributes:
        category: Name of its category.
        where: File and line, for messages.
        kind: What it says of the person.
        outline: Gives its outline on an image of (height, width) as polygons or RLE; called for ``mask`` and ``box``.
            Raises DataError without a subject when the shape is malformed.
        group: Shapes of an image with the same group are one person; None: it is a person of its own.
    """

    category: str
    where: str
    kind: Kind
    outline: Callable[[int, int], Segmentation]
    group: int | str | None = None


class ImageShapes(NamedTuple):
    """The shapes of one image file.

    Attributes:
        file: The image; it may be missing.
        height: In pixels.
        width: In pixels.
        shapes: In the order of its annotation file.
        problem: Why the image cannot be used, with file and line; its other fields mean nothing then.
    """

    file: Path
    height: int
    width: int
    shapes: Sequence[Shape]
    problem: str | None = None


def unusable(file: Path, error: DataError) -> ImageShapes:
    """An image that cannot be used, or whose annotations cannot."""
    return ImageShapes(file, 1, 1, (), str(error))


@dataclass
class _Notes:
    """Where shapes were found that are no mask of a person."""

    without_area: list[str] = field(default_factory=list)

    def warn(self, source: Path) -> None:
        """One line with the number and the first."""
        if self.without_area:
            logger.warning(
                "%s: %d shapes of persons are points, lines or something else without an area, and are left out "
                "(first: %s)",
                source,
                len(self.without_area),
                self.without_area[0],
            )


@dataclass(frozen=True)
class ShapeDataset:
    """A data set of shapes; see :class:`~human_edge_detection.data.formats.format.Dataset`.

    Attributes:
        source: The folder or file that messages are about.
        splits: Images by split.
    """

    source: Path
    splits: Mapping[str, Sequence[ImageShapes]]

    @property
    def image_counts(self) -> dict[str, int]:
        """Number of images by split."""
        return {split: len(images) for split, images in self.splits.items()}

    @property
    def categories(self) -> dict[str, int]:
        """Number of shapes by name of the category.

        Raises:
            DataError: There are none, as images cannot be used.
        """
        images = [image for found in self.splits.values() for image in found]
        counts = dict(Counter(shape.category for image in images for shape in image.shapes))
        problem = next((image.problem for image in images if image.problem is not None), None)
        if problem is not None and not counts:
            raise DataError(problem)
        return counts

    def persons(self, categories: Collection[str]) -> dict[str, CocoSplit]:
        """The splits as COCO. A person with a box and no mask has just that there; what is malformed says so there."""
        chosen, notes = frozenset(categories), _Notes()
        splits = {split: _coco_split(self.source, images, chosen, notes) for split, images in self.splits.items()}
        notes.warn(self.source)
        return splits


def _coco_split(source: Path, images: Iterable[ImageShapes], chosen: frozenset[str], notes: _Notes) -> CocoSplit:
    images = [image._replace(file=Path(os.path.normpath(image.file.absolute()))) for image in images]
    images_dir = Path(os.path.commonpath([image.file.parent for image in images])) if images else source
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, given in enumerate(images, 1):
        image, persons = _with_persons(given, chosen, notes)
        name = image.file.relative_to(images_dir).as_posix()
        entries.append({"id": image_id, "file_name": name, "height": image.height, "width": image.width})
        for person in persons:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, **person})
    data = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return CocoSplit(source, images_dir, data)


def _with_persons(
    image: ImageShapes, chosen: frozenset[str], notes: _Notes
) -> tuple[ImageShapes, list[dict[str, Any]]]:
    """The image and its persons. What is malformed is left to the checks of the annotations, as in COCO files."""
    if image.problem is None:
        try:
            return image, _persons(image, chosen, notes)
        except DataError as error:
            image = unusable(image.file, error)
    return image, [{"segmentation": Malformed(image.problem)}]


def _persons(image: ImageShapes, chosen: frozenset[str], notes: _Notes) -> list[dict[str, Any]]:
    """``where`` and ``segmentation``, or else ``bbox``, of each person of an image."""
    # 1. Shapes by group; one without a group is alone.
    groups: defaultdict[tuple[str, object], list[Shape]] = defaultdict(list)
    for number, shape in enumerate(image.shapes):
        if shape.category not in chosen:
            continue
        if shape.kind == "none":
            notes.without_area.append(shape.where)
        else:
            key = ("alone", number) if shape.group is None else ("group", shape.group)
            groups[key].append(shape)
    # 2. Each group is a person; one that has boxes only has no mask.
    persons: list[dict[str, Any]] = []
    for shapes in groups.values():
        check_image_size(image.height, image.width, shapes[0].where)
        masks = [_outline(shape, image) for shape in shapes if shape.kind == "mask"]
        boxes = [_outline(shape, image) for shape in shapes if shape.kind == "box"]
        whole = _join([*masks, *_parts(boxes, masks, image)] if masks else boxes, image)
        area, (x1, y1, x2, y2) = mask_area_and_box(whole, image.height, image.width)
        # Of an outline without a pixel the checks of the annotations say what becomes, as in COCO files.
        drawn = {"segmentation": whole} if masks or not area else {"bbox": [x1, y1, x2 - x1, y2 - y1]}
        persons.append({**drawn, "where": Place(shapes[0].where)})
    return persons


def _outline(shape: Shape, image: ImageShapes) -> Segmentation:
    try:
        return check_segmentation(shape.outline(image.height, image.width), image.height, image.width)
    except DataError as error:
        raise DataError(f"{shape.where}: {error}") from None


def _parts(boxes: Sequence[Segmentation], masks: Sequence[Segmentation], image: ImageShapes) -> list[Segmentation]:
    """The boxes that are parts of a person; a box around the whole person says nothing new."""
    _, around = mask_area_and_box(_join(masks, image), image.height, image.width)
    outer = [mask_area_and_box(box, image.height, image.width)[1] for box in boxes]
    return [box for box, corners in zip(boxes, outer, strict=True) if box_iou(corners, around) < _AROUND_IOU]


def _join(segmentations: Sequence[Segmentation], image: ImageShapes) -> Segmentation:
    """The union: all polygons when there are only polygons, else RLE."""
    if len(segmentations) == 1:
        return segmentations[0]
    polygons = [one for one in segmentations if isinstance(one, list)]
    if len(polygons) == len(segmentations):
        return [polygon for one in polygons for polygon in one]
    return _text_rle(coco_mask.merge([compress(one, image.height, image.width) for one in segmentations]))


def _text_rle(rle: Mapping[str, Any]) -> Segmentation:
    counts = rle["counts"]
    return {
        "size": [int(side) for side in rle["size"]],
        "counts": counts.decode() if isinstance(counts, bytes) else counts,
    }


def rectangle(x1: float, y1: float, x2: float, y2: float, degrees: float = 0.0) -> list[list[float]]:
    """A rectangle as a polygon, turned clockwise around its centre as it is seen."""
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
    return [_turned(corners, (x1 + x2) / 2, (y1 + y2) / 2, degrees)]


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> list[list[float]]:
    """An ellipse with radii ``rx`` and ``ry`` as a polygon, turned clockwise around its centre as it is seen."""
    angles = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    points = np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)
    return [_turned(points, cx, cy, degrees)]


def _turned(points: NDArray[np.float64], x: float, y: float, degrees: float) -> list[float]:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    # y points downwards, so this turns clockwise.
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    turned: list[float] = ((points - [x, y]) @ matrix + [x, y]).ravel().tolist()
    return turned


def placed_mask(mask: NDArray[np.uint8], top: int, left: int, height: int, width: int) -> Segmentation:
    """A small mask in a larger image, as RLE.

    Args:
        mask: ``(h, w)``, above 0 inside.
        top: Row of the image where the mask begins.
        left: Column of the image where the mask begins.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Raises:
        DataError: It does not lie in the image.
    """
    rows, columns = mask.shape
    if not (0 <= top <= height - rows and 0 <= left <= width - columns):
        raise DataError(
            f"a mask of {columns} x {rows} at x {left}, y {top} does not lie in the image of {width} x {height}"
        )
    whole = np.zeros((height, width), np.uint8, order="F")
    whole[top : top + rows, left : left + columns] = mask > 0
    return _text_rle(coco_mask.encode(whole))
