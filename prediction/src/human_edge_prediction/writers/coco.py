"""Predictions as COCO results, which ``pycocotools`` and others read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from human_edge_prediction.prediction import Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.writers.files import write_whole
from human_edge_prediction.writers.writer import Target

RESULTS: Final = "coco_results.json"
BOXES: Final = "coco_boxes.json"
IMAGES: Final = "coco_images.json"


class CocoWriter:
    """Three files for all images: results with RLE masks, results with boxes, and which image has which id.

    ``COCO(images).loadRes(results)`` of pycocotools takes them as they are. Masks and boxes lie apart, as of a result
    with both it takes the area of the box for that of the person, so that AP by size would be another.
    """

    def __init__(self, folder: Path, *, category: int, ids: Mapping[str, int] | None) -> None:
        """Where to write.

        Args:
            folder: For the three files.
            category: Of persons.
            ids: Of the images, by name; None, and those without one: they are counted from 1, or from the largest on.
        """
        self.place = folder / RESULTS
        self._boxes_file = folder / BOXES
        self._images_file = folder / IMAGES
        self._category = category
        self._ids = dict(ids or {})
        self._next = max(self._ids.values(), default=0) + 1
        self._images: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []

    def targets(self, source: Source) -> Iterable[Target]:
        """As of ``Writer``."""
        return [Target(self.place), Target(self._boxes_file), Target(self._images_file)]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Remembers the results of an image."""
        number = self._ids.get(frame.name)
        if number is None:
            number, self._next = self._next, self._next + 1
        name = frame.source.path.as_posix() if frame.index is None else frame.name
        height, width = frame.size
        results = prediction.to_coco(number, category_id=self._category)
        self._images.append({"id": number, "file_name": name, "height": height, "width": width})
        self._results += results

    def close(self) -> None:
        """As of ``Writer``."""
        categories = [{"id": self._category, "name": "person"}]
        for path, left_out in ((self.place, "bbox"), (self._boxes_file, "segmentation")):
            write_whole(path, _lines({k: v for k, v in one.items() if k != left_out} for one in self._results))
        images = {"images": self._images, "categories": categories, "annotations": []}
        write_whole(self._images_file, json.dumps(images).encode())


def _lines(results: Iterable[Mapping[str, Any]]) -> bytes:
    """A JSON list with one result a line."""
    return f"[{','.join(f'{chr(10)}{json.dumps(result)}' for result in results)}\n]\n".encode()
