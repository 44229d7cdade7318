"""Four images of two people each, and the files in which a part of them is unknown; every pixel has its right label."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.polygons_and_rle import compress, decode_mask

HEIGHT, WIDTH = 120, 160
IMAGES = 4
ELLIPSES = ((45, 60, 20, 40), (110, 65, 22, 38))
"""Centre and radii of the two people, who do not touch."""

Entry = dict[str, Any]
Labels = NDArray[np.uint8]


def _ellipse(cx: float, cy: float, rx: float, ry: float, corners: int = 16) -> list[float]:
    angles = [2 * math.pi * k / corners for k in range(corners)]
    return [round(v, 2) for a in angles for v in (cx + rx * math.cos(a), cy + ry * math.sin(a))]


POLYGONS = tuple(_ellipse(*ellipse) for ellipse in ELLIPSES)
MASKS = tuple(decode_mask([polygon], HEIGHT, WIDTH).astype(bool) for polygon in POLYGONS)


def _box(polygon: list[float]) -> list[float]:
    x, y = polygon[::2], polygon[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


BOXES = tuple(_box(polygon) for polygon in POLYGONS)


def inside(*boxes: list[float]) -> NDArray[np.bool_]:
    """The pixels that boxes x, y, width, height touch."""
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    for x, y, width, height in boxes:
        pixels[math.floor(y) : math.ceil(y + height), math.floor(x) : math.ceil(x + width)] = True
    return pixels


class Case(NamedTuple):
    """One file.

    Attributes:
        edit: Makes it of the valid one.
        expected: Labels of the person map of the first image, which was edited: 0, 1 or 255.
        persons: On the first image.
        flags: For ``hed prepare-data``.
    """

    edit: Callable[[Entry], None]
    expected: Labels
    persons: int
    flags: tuple[str, ...] = ()


def labels(*, person: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None) -> Labels:
    """A person wins over what is ignored."""
    found = person.astype(np.uint8)
    if ignored is not None:
        found[ignored & ~person] = 255
    return found


BOTH = labels(person=MASKS[0] | MASKS[1])
ONE = labels(person=MASKS[0], ignored=inside(BOXES[1]))
WITHIN_BOXES = labels(person=MASKS[0] | MASKS[1], ignored=~inside(*BOXES))
MISSING = object()


def second(**fields: Any) -> Callable[[Entry], None]:
    """Changes the second person of the first image."""

    def edit(data: Entry) -> None:
        entry = data["annotations"][1]
        for key, value in fields.items():
            entry.pop(key) if value is MISSING else entry.update({key: value})

    return edit


def image(**fields: Any) -> Callable[[Entry], None]:
    """Changes the first image."""
    return lambda data: data["images"][0].update(fields)


def both(*edits: Callable[[Entry], None]) -> Callable[[Entry], None]:
    def edit(data: Entry) -> None:
        for one in edits:
            one(data)

    return edit


def nobody(data: Entry) -> None:
    data["annotations"] = data["annotations"][2:]


def rle(polygon: list[float]) -> Entry:
    packed = compress([polygon], HEIGHT, WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}


NO_RUNS = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
THIN = [100.1, 30.5, 100.3, 30.5, 100.3, 79.5]
OF_THIN = labels(person=MASKS[0], ignored=inside([100.1, 30.5, 0.2, 49]))
OFF_THE_IMAGE = [[-30, -20, -20, -20, -20, -10]]
EVERYTHING = labels(person=np.zeros((HEIGHT, WIDTH), bool), ignored=np.ones((HEIGHT, WIDTH), bool))
NOT = {"exhaustive": False}
SAID_OF_ALL = ("--not_exhaustive",)

KINDS: dict[str, dict[str, Case]] = {
    "a good mask whose box is none": {
        "zeros": Case(second(bbox=[0, 0, 0, 0]), BOTH, 2),
        "no width": Case(second(bbox=[88, 27, 0, 76]), BOTH, 2),
        "no height": Case(second(bbox=[88, 27, 44, 0]), BOTH, 2),
        "negative size": Case(second(bbox=[132, 103, -44, -76]), BOTH, 2),
        "outside of the image": Case(second(bbox=[200, 150, 20, 20]), BOTH, 2),
        "minus ones": Case(second(bbox=[-1, -1, -1, -1]), BOTH, 2),
        "an empty list": Case(second(bbox=[]), BOTH, 2),
        "null": Case(second(bbox=None), BOTH, 2),
        "missing": Case(second(bbox=MISSING), BOTH, 2),
        "zeros, RLE": Case(second(bbox=[0, 0, 0, 0], segmentation=rle(POLYGONS[1])), BOTH, 2),
        "zeros, not exhaustive": Case(both(second(bbox=[0, 0, 0, 0]), image(**NOT)), WITHIN_BOXES, 2),
    },
    "a person with a box and no mask": {
        "null": Case(second(segmentation=None), ONE, 1),
        "no polygons": Case(second(segmentation=[]), ONE, 1),
        "missing": Case(second(segmentation=MISSING), ONE, 1),
        "polygon off the image": Case(second(segmentation=OFF_THE_IMAGE), ONE, 1),
        "RLE of nothing": Case(second(segmentation=NO_RUNS), ONE, 1),
        "a crowd": Case(second(segmentation=None, iscrowd=1), ONE, 1),
        "crowds removed": Case(second(segmentation=None), ONE, 1, ("--crowds", "remove")),
        "not exhaustive": Case(
            both(second(segmentation=None), image(**NOT)),
            labels(person=MASKS[0], ignored=~inside(BOXES[0]) | inside(BOXES[1])),
            1,
        ),
        "over another person": Case(
            second(segmentation=None, bbox=[20, 10, 60, 90]),
            labels(person=MASKS[0], ignored=inside([20, 10, 60, 90])),
            1,
        ),
        "an empty polygon": Case(second(segmentation=[[]]), ONE, 1),
        "an empty object": Case(second(segmentation={}), ONE, 1),
        "outline thinner than a pixel, no box": Case(second(segmentation=[THIN], bbox=None), OF_THIN, 1),
        "outline thinner than a pixel, empty box": Case(second(segmentation=[THIN], bbox=[0, 0, 0, 0]), OF_THIN, 1),
        "outline thinner than a pixel, boxes from masks": Case(
            second(segmentation=[THIN]), OF_THIN, 1, ("--boxes", "from_masks")
        ),
        "RLE of nothing, boxes from masks": Case(second(segmentation=NO_RUNS), ONE, 1, ("--boxes", "from_masks")),
        "box in fractions": Case(
            second(segmentation=[], bbox=[0.5, 0.25, 0.25, 0.5]),
            labels(person=MASKS[0], ignored=inside([80, 30, 40, 60])),
            1,
            ("--outlines", "fractions"),
        ),
        "no box either": Case(second(segmentation=None, bbox=None), labels(person=MASKS[0]), 1),
        "outline off the image, no box": Case(
            second(segmentation=OFF_THE_IMAGE, bbox=None), labels(person=MASKS[0]), 1
        ),
    },
    "an image that is not exhaustively labelled": {
        "false": Case(image(exhaustive=False), WITHIN_BOXES, 2),
        "0": Case(image(exhaustive=0), WITHIN_BOXES, 2),
        "a flag for all": Case(image(), WITHIN_BOXES, 2, SAID_OF_ALL),
        "a flag for all wins over true": Case(image(exhaustive=True), WITHIN_BOXES, 2, SAID_OF_ALL),
        "nobody annotated": Case(both(nobody, image(**NOT)), EVERYTHING, 0),
        "boxes larger than persons": Case(
            both(second(bbox=[80, 20, 60, 90]), image(**NOT)),
            labels(person=MASKS[0] | MASKS[1], ignored=~inside(BOXES[0], [80, 20, 60, 90])),
            2,
        ),
        "with a crowd": Case(
            both(second(iscrowd=1, segmentation=rle(POLYGONS[1])), image(**NOT)),
            labels(person=MASKS[0], ignored=~inside(BOXES[0])),
            1,
        ),
    },
    "nothing unknown": {
        "as it is": Case(image(), BOTH, 2),
        "true": Case(image(exhaustive=True), BOTH, 2),
        "null": Case(image(exhaustive=None), BOTH, 2),
        "another image is not exhaustive": Case(lambda data: data["images"][1].update(NOT), BOTH, 2),
        "nobody": Case(nobody, labels(person=np.zeros((HEIGHT, WIDTH), bool)), 0),
    },
}


def valid_people() -> Entry:
    """Everything annotated."""
    people = [(number, person) for number in range(IMAGES) for person in range(len(POLYGONS))]
    return {
        "images": [{"id": n + 1, "file_name": f"p{n}.png", "width": WIDTH, "height": HEIGHT} for n in range(IMAGES)],
        "annotations": [
            {
                "id": position,
                "image_id": number + 1,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": BOXES[person],
                "segmentation": [POLYGONS[person]],
            }
            for position, (number, person) in enumerate(people, 1)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }


def write_people(folder: Path, edit: Callable[[Entry], None] = lambda data: None) -> tuple[Path, Path]:
    """Writes annotations and images; returns the file and the folder of images."""
    data = valid_people()
    edit(data)
    images = folder / "img"
    images.mkdir(parents=True, exist_ok=True)
    picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for mask, colour in zip(MASKS, ((50, 60, 210), (210, 90, 40)), strict=True):
        picture[mask] = colour
    for number in range(IMAGES):
        cv2.imwrite(str(images / f"p{number}.png"), picture)
    file = folder / "ann.json"
    file.write_text(json.dumps(data))
    return file, images
