"""Small COCO data sets that are wrong, or unusual, as a whole; every pixel of them is known.

Four images of 160 x 120 pixels with two persons each; no two images are equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

WIDTH, HEIGHT = 160, 120
PEOPLE = ((45.0, 60.0, 20.0, 40.0), (110.0, 65.0, 22.0, 38.0))
"""Centre and radii of each person, an ellipse."""
ORIENTATION = 0x0112

Polygon = list[float]


@dataclass
class Files:
    """A data set before it is written: the COCO object, and the bytes of each image file by name."""

    data: dict[str, Any]
    images: dict[str, bytes] = field(default_factory=dict)

    @property
    def persons(self) -> list[dict[str, Any]]:
        annotations: list[dict[str, Any]] = self.data["annotations"]
        return annotations

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Annotation file and folder of images."""
        for name, content in self.images.items():
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        file = folder / "people.json"
        file.write_text(json.dumps(self.data), encoding="utf-8")
        return file, folder / "images"


Change = Callable[[Files], object]


def ellipse(cx: float, cy: float, rx: float, ry: float, points: int = 16) -> Polygon:
    angles = [2 * math.pi * k / points for k in range(points)]
    return [round(v, 2) for a in angles for v in (cx + rx * math.cos(a), cy + ry * math.sin(a))]


def box_around(polygon: Polygon) -> list[float]:
    x, y = polygon[::2], polygon[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def scene(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), 90 + 5 * number, np.uint8)
    y, x = np.mgrid[:height, :width]
    for cx, cy, rx, ry in PEOPLE:
        image[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1] = (200, 60, 50)
    return image


def jpeg(image: NDArray[np.uint8], orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, exif=exif.tobytes())
    return file.getvalue()


def whole_file(count: int = 4, first: int = 0) -> Files:
    """A well-made data set of ``count`` images; another ``first`` gives other images and other outlines."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for number in range(count):
        images.append({"id": number + 1, "file_name": f"p{number}.jpg", "width": WIDTH, "height": HEIGHT})
        files[f"p{number}.jpg"] = jpeg(scene(first + number))
        for cx, cy, rx, ry in PEOPLE:
            polygon = ellipse(cx + (first + number) / 8, cy, rx, ry)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": box_around(polygon),
                    "segmentation": [polygon],
                }
            )
    categories = [{"id": 1, "name": "person", "supercategory": "person"}]
    return Files({"images": images, "annotations": annotations, "categories": categories}, files)


def as_rle(polygon: Polygon, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    rle = coco_mask.frPyObjects([polygon], height, width)[0]
    return {"size": [height, width], "counts": rle["counts"].decode()}


# Boxes.


def corner_boxes(files: Files) -> None:
    for person in files.persons:
        x, y, width, height = person["bbox"]
        person["bbox"] = [x, y, x + width, y + height]


def centre_boxes(files: Files) -> None:
    for person in files.persons:
        x, y, width, height = person["bbox"]
        person["bbox"] = [x + width / 2, y + height / 2, width, height]


def transposed_boxes(files: Files) -> None:
    for person in files.persons:
        x, y, width, height = person["bbox"]
        person["bbox"] = [y, x, height, width]


def fraction_boxes(files: Files) -> None:
    for person in files.persons:
        x, y, width, height = person["bbox"]
        person["bbox"] = [x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT]


def some_corner_boxes(files: Files) -> None:
    """Two tools wrote this file: 3 of 8 boxes."""
    corner_boxes(Files({"annotations": files.persons[:3]}))


def loose_boxes(files: Files) -> None:
    """Boxes around hidden parts too, which fit no mask in any way."""
    for person in files.persons:
        x, y, width, height = person["bbox"]
        person["bbox"] = [max(x - width * 0.6, 0), max(y - 5, 0), width * 1.9, height + 5]


# Categories and crowds.


def category(number: int, every: int) -> Change:
    def change(files: Files) -> None:
        for person in files.persons[::-every]:
            person["category_id"] = number

    return change


def brush(every: int) -> Change:
    """CVAT writes what is drawn with a brush as RLE with ``iscrowd`` 1."""

    def change(files: Files) -> None:
        for person in files.persons[::-every]:
            person.update(segmentation=as_rle(person["segmentation"][0]), iscrowd=1)

    return change


# Outlines.


def scaled(x: float, y: float, every: int = 1) -> Change:
    def change(files: Files) -> None:
        for person in files.persons[::-every]:
            polygon = [v * (y if k % 2 else x) for k, v in enumerate(person["segmentation"][0])]
            person.update(segmentation=[polygon], bbox=box_around(polygon))

    return change


def shifted(files: Files) -> None:
    for person in files.persons[1::2]:
        polygon = [v if k % 2 else v + 40 for k, v in enumerate(person["segmentation"][0])]
        person.update(segmentation=[polygon], bbox=box_around(polygon))


# EXIF.


def oriented(orientation: int, width: int = WIDTH, height: int = HEIGHT, *, shown: bool = False) -> Change:
    """Stored pixels as ever, an EXIF orientation, and the size of the stored or the shown pixels."""

    def change(files: Files) -> None:
        for number, image in enumerate(files.data["images"]):
            swaps = shown and orientation > 4
            image.update(width=height if swaps else width, height=width if swaps else height)
            files.images[image["file_name"]] = jpeg(scene(number, width, height), orientation)
        if shown or width != WIDTH:
            for person in files.persons:
                polygon = ellipse(50 + person["id"] / 8, 95, 30, 20)
                person.update(segmentation=[polygon], bbox=box_around(polygon))

    return change


def shown_with_stored_sizes(files: Files) -> None:
    """As Label Studio writes: outlines on the images as they are shown, and the size of the stored pixels."""
    oriented(6)(files)
    for person in files.persons:
        points = person["segmentation"][0]
        turned = [v for x, y in zip(points[::2], points[1::2], strict=True) for v in (HEIGHT - y, x)]
        person.update(segmentation=[turned], bbox=box_around(turned))


def shown_or_stored(files: Files) -> None:
    """Which of both it is cannot be seen: the outlines of the first persons lie within both."""
    shown_with_stored_sizes(files)
    del files.persons[1::2]


# Names.


def names(in_file: str, in_folder: str) -> Change:
    """``{}`` stands for the number of the image."""

    def change(files: Files) -> None:
        for number, image in enumerate(files.data["images"]):
            files.images[in_folder.format(number)] = files.images.pop(image["file_name"])
            image["file_name"] = in_file.format(number)

    return change


def two_spellings(spelling: str) -> Change:
    """The first image is listed once more, and its second person belongs to that."""

    def change(files: Files) -> None:
        files.data["images"].append({**files.data["images"][0], "id": 99, "file_name": spelling})
        files.persons[1]["image_id"] = 99

    return change


def two_files_for_one_name(files: Files) -> None:
    content = files.images.pop("p0.jpg")
    files.images |= {"a/p0.jpg": content, "b/p0.jpg": content}


# Copies.


def person_twice(files: Files) -> None:
    files.persons.append({**files.persons[0], "id": 99})


def image_twice(files: Files) -> None:
    files.images["p1.jpg"] = files.images["p0.jpg"]


# Values.


def every_person(**fields: Any) -> Change:
    def change(files: Files) -> None:
        for person in files.persons[1::2]:
            person.update(fields)

    return change


def float_sizes(files: Files) -> None:
    for image in files.data["images"]:
        image.update(width=float(WIDTH), height=float(HEIGHT))


def float_ids(files: Files) -> None:
    """As tools write that keep all numbers of a table alike, those of run lengths too."""
    floats: dict[str, Any] = json.loads(json.dumps(files.data))
    for person in floats["annotations"][1::2]:
        mask = coco_mask.decode(as_rle(person["segmentation"][0])).ravel(order="F")
        ends = np.concatenate([np.flatnonzero(np.diff(mask)) + 1, [mask.size]])
        person["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": np.diff(ends, prepend=0).tolist()}
    files.data = json.loads(json.dumps(floats), parse_int=float)


def unused_root(files: Files) -> None:
    files.data["categories"].insert(0, {"id": 0, "name": "person", "supercategory": "none"})


def capital(files: Files) -> None:
    files.data["categories"][0]["name"] = "Person"


def without_ends(files: Files) -> None:
    files.images = {name: content[:-2] for name, content in files.images.items()}


def few_bits(files: Files) -> None:
    image = cv2.imdecode(np.frombuffer(files.images["p0.jpg"], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    files.images["p0.jpg"] = cv2.imencode(".png", image.astype(np.uint16) * 16)[1].tobytes()


def missing_images(count: int) -> Change:
    def change(files: Files) -> None:
        for number in range(count):
            del files.images[f"p{number}.jpg"]

    return change


def stray_line(files: Files) -> None:
    files.persons[1]["segmentation"].append([100, 50, 101, 52])
