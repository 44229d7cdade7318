"""A hand-made COCO data set whose every pixel is known, and the sample data in small."""

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from human_edge_detection.data.drawn.data_set import write_drawn_data

Edit = Callable[[dict[str, Any]], None]


def square(x: int, y: int, side: int) -> list[list[float]]:
    """Polygon of exactly the pixels x .. x + side - 1, y .. y + side - 1."""
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def coco() -> dict[str, Any]:
    """Two images 40 wide and 30 high: the first has two persons that overlap and a crowd, the second nobody."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30, "license": 3},
            {"id": 8, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 4,
                "iscrowd": 0,
                "bbox": [4, 4, 10, 10],
                "segmentation": square(4, 4, 10),
            },
            {
                "id": 2,
                "image_id": 7,
                "category_id": 4,
                "iscrowd": 0,
                "bbox": [10, 8, 10, 10],
                "segmentation": square(10, 8, 10),
            },
            # Columns 12 to 23 of 30 pixels each: half of it lies under the second person.
            {
                "id": 3,
                "image_id": 7,
                "category_id": 4,
                "iscrowd": 1,
                "segmentation": {"size": [30, 40], "counts": [360, 360, 480]},
            },
            {"id": 3, "image_id": 8, "category_id": 9, "iscrowd": 0, "bbox": "not read", "segmentation": None},
        ],
        "categories": [{"id": 4, "name": "person"}, {"id": 9, "name": "dog"}],
    }


@pytest.fixture
def write_coco(tmp_path: Path, coco: dict[str, Any]) -> Callable[..., tuple[Path, Path]]:
    """Writes the data set after an edit; returns annotation file and images folder."""

    def write(edit: Edit = lambda data: None) -> tuple[Path, Path]:
        edit(coco)
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for name in ("a.png", "b.png"):
            cv2.imwrite(str(images / name), rng.integers(0, 256, (30, 40, 3), np.uint8))
        file = tmp_path / "people.json"
        file.write_text(json.dumps(coco), encoding="utf-8")
        return file, images

    return write


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample data of 8 + 3 small pictures."""
    return write_drawn_data(
        tmp_path_factory.mktemp("sample") / "people", train_images=8, val_images=3, image_size=(96, 128), seed=1
    )


@pytest.fixture
def allocated() -> Callable[[Callable[[], Any]], tuple[Any, int]]:
    """Calls something and counts the blocks of memory that are in use afterwards and were not before."""

    def count(call: Callable[[], Any]) -> tuple[Any, int]:
        gc.collect()
        before = sys.getallocatedblocks()
        output = call()
        gc.collect()
        return output, sys.getallocatedblocks() - before

    return count
