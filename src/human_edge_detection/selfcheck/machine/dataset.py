"""The user's data folder: its layout, the validation annotations and a few of their images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.images.read import read_image
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning

_IMAGES: Final = 16
_SLOW: Final = 10.0
"""Images a second; a run on a GPU asks for more than that."""


def examine_dataset(root: Path) -> list[Finding]:
    """Whether training can find and read what is in ``root``; ``hed prepare-data`` checks every image."""
    name = "data"
    try:
        _, val = find_splits(root)
        people = read_annotations(val.annotations, val.images)
        records = people.images[:: max(len(people.images) // _IMAGES, 1)][:_IMAGES]
        started = time.perf_counter()
        for image in records:
            read_image(people.images_dir / image.file_name)
    except DataError as error:
        return [problem(name, str(error), "mend it, or give another --data_root")]
    persons = people.images.person_counts.sum()
    found = ok(name, f"{root}: {len(people.images)} validation images with {persons} persons")
    return [found, check_reading(len(records), time.perf_counter() - started)]


def check_reading(records: int, seconds: float) -> Finding:
    """Whether images come quickly from where they lie."""
    rate = records / max(seconds, 1e-9)
    text = f"{rate:.0f} images a second in one process"
    if rate < _SLOW:
        return warning(
            "reading", text, "copy the data to a local disk, shrink it with hed prepare-data, or add workers"
        )
    return ok("reading", text)
