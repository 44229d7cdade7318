"""Small data sets in the formats of annotation tools: four images with two persons each and one with nobody.

Every person is an ellipse of a colour of its own, so the mask of each is known to the pixel.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_detection.data.annotations.coco import decode_mask, read_annotations
from human_edge_detection.files.data_folder import find_split

HEIGHT, WIDTH = 120, 160
Mask = NDArray[np.bool_]


class Ellipse(NamedTuple):
    """Centre and radii in pixels."""

    cx: float
    cy: float
    rx: float
    ry: float

    def polygon(self) -> list[float]:
        angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        points = np.stack([self.cx + self.rx * np.cos(angles), self.cy + self.ry * np.sin(angles)], axis=1)
        return [float(value) for value in points.round(3).ravel()]

    def mask(self) -> Mask:
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        inside: Mask = ((x - self.cx) / self.rx) ** 2 + ((y - self.cy) / self.ry) ** 2 <= 1
        return inside


PERSONS: Mapping[str, Sequence[Ellipse]] = {
    **{f"p{n}.png": (Ellipse(40 + 4 * n, 60, 20, 40), Ellipse(112, 62 - 3 * n, 22, 38)) for n in range(4)},
    "nobody.png": (),
}
"""The persons of each image."""


def draw(file: Path) -> None:
    """Draws the image of this name."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for person, colour in zip(PERSONS[file.name], ((210, 60, 50), (40, 90, 210)), strict=False):
        image[person.mask()] = colour
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), image)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def yolo_line(polygon: Sequence[float], number: int = 0) -> str:
    values = (value / (HEIGHT if place % 2 else WIDTH) for place, value in enumerate(polygon))
    return " ".join([str(number), *(f"{value:.6f}" for value in values)])


def write_yolo(root: Path, data: str = "train: images/train\nval: images/val\nnames: [person, dog]\n") -> Path:
    """``p0``, ``p1`` and ``nobody`` in ``train``, ``p2`` and ``p3`` in ``val``."""
    write(root / "data.yaml", data)
    for name, persons in PERSONS.items():
        split = "val" if name in ("p2.png", "p3.png") else "train"
        draw(root / "images" / split / name)
        lines = [yolo_line(person.polygon()) for person in persons]
        write(root / "labels" / split / Path(name).with_suffix(".txt"), "\n".join(lines) + "\n")
    return root


def labelme_shape(points: Sequence[float], kind: str = "polygon", **fields: Any) -> dict[str, Any]:
    pairs = [[points[place], points[place + 1]] for place in range(0, len(points), 2)]
    return {"label": "person", "points": pairs, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def labelme_file(name: str, shapes: Iterable[Mapping[str, Any]]) -> str:
    fields: dict[str, Any] = {
        "version": "5.4.1",
        "flags": {},
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    return json.dumps({**fields, "imagePath": name, "shapes": [*shapes]})


def write_labelme(root: Path) -> Path:
    """All images in one folder."""
    for name, persons in PERSONS.items():
        draw(root / name)
        shapes = [labelme_shape(person.polygon()) for person in persons]
        write(root / Path(name).with_suffix(".json"), labelme_file(name, shapes))
    return root


def coco_file(names: Iterable[str], category: int = 1, categories: Sequence[tuple[int, str]] = ((1, "person"),)) -> str:
    """A COCO instances file of these images."""
    images, annotations = [], []
    for image_id, name in enumerate(names, 1):
        images.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
        annotations += [
            {"image_id": image_id, "category_id": category, "iscrowd": 0, "segmentation": [person.polygon()]}
            for person in PERSONS[Path(name).name]
        ]
    numbered = [{"id": number, **entry} for number, entry in enumerate(annotations, 1)]
    listed = [{"id": number, "name": name, "supercategory": "none"} for number, name in categories]
    return json.dumps({"images": images, "annotations": numbered, "categories": listed})


def cvat_points(polygon: Sequence[float]) -> str:
    return ";".join(f"{polygon[place]:.2f},{polygon[place + 1]:.2f}" for place in range(0, len(polygon), 2))


def cvat_rle(mask: Mask) -> dict[str, str]:
    """The attributes of a mask: runs along the rows of its box, background first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].ravel().astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], inside, [2]])))
    runs = np.diff(np.concatenate([[0], changes]))
    return {
        "rle": ", ".join(map(str, runs)),
        "left": str(columns[0]),
        "top": str(rows[0]),
        "width": str(len(columns)),
        "height": str(np.ptp(rows) + 1),
    }


def element(tag: str, content: str = "", **attributes: object) -> str:
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{tag}{written}>{content}</{tag}>"


def cvat_file(images: Mapping[str, Iterable[str]], **attributes: object) -> str:
    """An ``annotations.xml`` of these images and the elements in each."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<annotations>",
        "<version>1.1</version>",
        "<meta><task/></meta>",
    ]
    for number, (name, shapes) in enumerate(images.items()):
        inside = "\n" + "\n".join(shapes) + "\n"
        lines.append(element("image", inside, id=number, name=name, width=WIDTH, height=HEIGHT, **attributes))
    return "\n".join([*lines, "</annotations>", ""])


def write_cvat(root: Path) -> Path:
    """A task: the first person of each image is a polygon, the second a mask."""
    images: dict[str, list[str]] = {}
    for name, persons in PERSONS.items():
        draw(root / "images" / name)
        images[name] = [
            element("polygon", label="person", points=cvat_points(person.polygon()), z_order=0)
            if number == 0
            else element("mask", element("attribute", "no", name="hat"), label="person", **cvat_rle(person.mask()))
            for number, person in enumerate(persons)
        ]
    write(root / "annotations.xml", cvat_file(images))
    return root


def prepared_masks(output: Path, split: str) -> dict[str, tuple[list[Mask], Mask]]:
    """The masks of the persons on each image of a prepared split, and where it is ignored."""
    masks = {}
    for image in read_annotations(*find_split(output, split)).images:
        size = image.height, image.width
        persons = [decode_mask(person.segmentation, *size) > 0 for person in image.persons]
        ignored = np.zeros(size, bool)
        for crowd in image.crowds:
            ignored |= decode_mask(crowd.segmentation, *size) > 0
        masks[Path(image.file_name).name] = persons, ignored
    return masks


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def assert_as_drawn(masks: Mapping[str, tuple[list[Mask], Mask]]) -> None:
    """Every image has its persons in their order, pixel by pixel, and nothing is ignored."""
    for name, (persons, ignored) in masks.items():
        assert len(persons) == len(PERSONS[name]), name
        assert min([1.0, *map(iou, persons, (person.mask() for person in PERSONS[name]))]) > 0.97, name
        assert not ignored.any()


class Said(str):
    """Printed text; ``in`` does not see where its lines are folded."""

    __slots__ = ()

    def __contains__(self, text: object) -> bool:
        return "".join(str(text).split()) in "".join(self.split())


def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What was printed on both streams."""
    return Said("".join(capsys.readouterr()))
