"""Answers of an external teacher as users write them, made of the truth itself."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.annotations.polygons_and_rle import compress, decode_mask
from human_edge_detection.files.data_folder import find_splits

Results = list[dict[str, Any]]


def training_people(root: Path) -> AnnotationSet:
    return read_annotations(*find_splits(root)[0])


def true_results(people: AnnotationSet, score: float = 0.9) -> Results:
    """COCO results with the mask of every person; a detection of a dog where there is nobody."""
    results: Results = []
    for record in people.images:
        for person in record.persons:
            counts = compress(person.segmentation, record.height, record.width)["counts"]
            rle = {
                "size": [record.height, record.width],
                "counts": counts if isinstance(counts, str) else counts.decode(),
            }
            results.append({"image_id": record.id, "category_id": 1, "segmentation": rle, "score": score})
        if not record.persons:
            dog = [[5, 5, 20, 5, 20, 20]]
            results.append({"image_id": record.id, "category_id": 18, "segmentation": dog, "score": 0.8})
    return results


def write_results(file: Path, results: Any) -> Path:
    file.write_text(json.dumps(results), encoding="utf-8")
    return file


def true_mask(record: AnnotatedImage, *ids: int) -> NDArray[np.uint8]:
    """``(H, W)``: 1 where any person is, or one of those with these ids."""
    mask = np.zeros((record.height, record.width), np.uint8)
    for person in record.persons:
        if not ids or person.id in ids:
            mask |= decode_mask(person.segmentation, record.height, record.width)
    return mask


def write_maps(folder: Path, people: AnnotationSet, *, persons: bool = False) -> Path:
    """A person map of every image, or a map of every person."""
    folder.mkdir(exist_ok=True)
    for record in people.images:
        stem = PurePosixPath(record.file_name).stem
        if not persons:
            cv2.imwrite(str(folder / f"{stem}.png"), true_mask(record) * 255)
        for person in record.persons if persons else ():
            cv2.imwrite(str(folder / f"{stem}_{person.id}.png"), true_mask(record, person.id) * 255)
    return folder
