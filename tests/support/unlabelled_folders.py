"""Folders of images without labels, and files of boxes on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

BOX = [20, 10, 70, 80]
"""x1, y1, x2, y2 of a brighter region on each image, pixels."""


def write_images(folder: Path, count: int = 5, *, size: tuple[int, int] = (96, 128), seed: int = 7) -> list[str]:
    """``count`` images of noise, the second in a folder below; their names, sorted."""
    rng = np.random.default_rng(seed)
    names = [f"{number:03d}.png" for number in range(1, count + 1)]
    if count > 1:
        names[1] = f"below/{names[1]}"
    for name in names:
        image = rng.integers(0, 120, (*size, 3), np.uint8)
        image[BOX[1] : BOX[3], BOX[0] : BOX[2]] += 100
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    return sorted(names)


def write_results(file: Path, ids: Sequence[int], scores: Sequence[float] = (0.9, 0.1)) -> Path:
    """COCO results: on each of these images a box for each score."""
    x1, y1, x2, y2 = BOX
    results = [
        {"image_id": number, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for number in ids
        for score in scores
    ]
    file.write_text(json.dumps(results), encoding="utf-8")
    return file
