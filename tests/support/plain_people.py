"""Images of one colour each with persons of chosen outlines, so that a pixel says which image it is of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations

Box = tuple[float, float, float, float]


def octagon(x1: float, y1: float, x2: float, y2: float) -> list[list[float]]:
    """A box with its corners cut off by a quarter of its shorter side: an outline that is no box."""
    cut = min(x2 - x1, y2 - y1) / 4
    right, bottom = (x1 + cut, x2 - cut), (y1 + cut, y2 - cut)
    corners = [
        *((right[0], y1), (right[1], y1), (x2, bottom[0]), (x2, bottom[1])),
        *((right[1], y2), (right[0], y2), (x1, bottom[1]), (x1, bottom[0])),
    ]
    return [[value for corner in corners for value in corner]]


def person(number: int, image: int, segmentation: Any, **changes: Any) -> dict[str, Any]:
    """An annotation, whose box is that of its polygons."""
    points = np.array([value for polygon in segmentation for value in polygon]).reshape(-1, 2)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    entry = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    return entry | {"segmentation": segmentation} | changes


def write_people(
    folder: Path,
    annotations: Sequence[dict[str, Any]],
    colors: Sequence[tuple[int, int, int]],
    size: tuple[int, int] = (120, 160),
    **changes: Any,
) -> AnnotationSet:
    """Images 1, 2, ... of ``size`` (height, width), of these RGB ``colors``, with the annotations."""
    images = []
    for number, color in enumerate(colors, 1):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((*size, 3), color[::-1], np.uint8))
        entry = {"id": number, "file_name": f"{number}.png", "height": size[0], "width": size[1]}
        images.append(entry | changes)
    file = folder / "people.json"
    categories = [{"id": 1, "name": "person"}]
    file.write_text(json.dumps({"images": images, "annotations": list(annotations), "categories": categories}))
    return read_annotations(file, folder)
