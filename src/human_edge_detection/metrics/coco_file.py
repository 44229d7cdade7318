"""What metrics of COCO have in common: the true persons of an annotation file, and masks as pycocotools takes them."""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle
from pycocotools.coco import COCO

from human_edge_detection.errors import DataError
from human_edge_prediction.masks.probability import mask_of
from human_edge_prediction.resampling import paste_roi


def mask_entry(
    probability: NDArray[np.float32], roi: NDArray[np.float32], size: tuple[int, int]
) -> dict[str, Any] | None:
    """The mask of a roi as an entry of COCO's results, without ids; None when it is empty.

    Args:
        probability: ``(H, W)`` of the target in the roi.
        roi: ``(4,)`` x1, y1, x2, y2 as fractions of the image.
        size: (height, width) of the image.

    Returns:
        ``segmentation``, ``area`` in pixels, and as ``score`` the mean probability inside the mask.
    """
    found = mask_of(*paste_roi(probability, roi, size, linear=True))
    if not found.pixels.any():
        return None
    mask = np.zeros(size, np.uint8, order="F")
    mask[found.place] = found.pixels
    encoded = rle.encode(mask)
    return {"segmentation": encoded, "area": float(rle.area(encoded)), "score": found.score}


def load_persons(file: Path) -> tuple[int, COCO]:
    """The category id of ``person`` and an index of its annotations."""
    try:
        content = json.loads(file.read_bytes())
        persons = [category for category in content["categories"] if category["name"] == "person"]
        if len(persons) != 1:
            raise DataError(f"{file}: {len(persons)} categories are named 'person', expected 1")
        person_id = int(persons[0]["id"])
        annotations = [_with_mask(entry) for entry in content["annotations"] if entry["category_id"] == person_id]
        truth = index_of({"images": content["images"], "categories": persons, "annotations": annotations})
        for entry in annotations:
            entry.setdefault("iscrowd", 0)
            if "area" not in entry:
                entry["area"] = float(rle.area(truth.annToRLE(entry)))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give a COCO instances JSON file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not COCO instances JSON ({error!r}); see `hed prepare-data`") from error
    return person_id, truth


def _with_mask(entry: dict[str, Any]) -> dict[str, Any]:
    """An annotation; one with a box and no mask as a crowd region, since nobody knows which pixels are the person's."""
    if entry.get("segmentation"):
        return entry
    x, y, width, height = entry.get("bbox") or [0, 0, 0, 0]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {**entry, "segmentation": [corners], "iscrowd": 1, "area": width * height}


def index_of(dataset: Mapping[str, Any]) -> COCO:
    """The COCO object of pycocotools for ``dataset``, without its output on the console."""
    coco = COCO()
    coco.dataset = dict(dataset)
    with silence():
        coco.createIndex()
    return coco


def silence() -> contextlib.redirect_stdout[io.StringIO]:
    """Suppresses what pycocotools prints: its progress and its table."""
    return contextlib.redirect_stdout(io.StringIO())
