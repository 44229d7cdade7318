"""The user's data folder: its layout, the validation annotations and a few of their photographs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from human_edge_detection.data.annotations.coco import read_people
from human_edge_detection.data.annotations.layout import find_splits
from human_edge_detection.data.images.read import read_photograph
from human_edge_detection.errors import DataError
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning

_PHOTOGRAPHS: Final = 16
_SLOW: Final = 10.0
"""Photographs a second; a run on a GPU asks for more than that."""


def examine_dataset(root: Path) -> list[Finding]:
    """Whether training can find and read what is in ``root``; ``hed prepare-data`` checks every photograph."""
    name = "data"
    try:
        _, val = find_splits(root)
        people = read_people(val.annotations, val.images)
        photographs = people.photographs[:: max(len(people.photographs) // _PHOTOGRAPHS, 1)][:_PHOTOGRAPHS]
        started = time.perf_counter()
        for photograph in photographs:
            read_photograph(people.images_dir / photograph.file_name)
    except DataError as error:
        return [problem(name, str(error), "mend it, or give another --data_root")]
    persons = people.photographs.person_counts.sum()
    found = ok(name, f"{root}: {len(people.photographs)} validation photographs with {persons} persons")
    return [found, check_reading(len(photographs), time.perf_counter() - started)]


def check_reading(photographs: int, seconds: float) -> Finding:
    """Whether photographs come quickly from where they lie."""
    rate = photographs / max(seconds, 1e-9)
    text = f"{rate:.0f} photographs a second in one process"
    if rate < _SLOW:
        return warning(
            "reading", text, "copy the data to a local disk, shrink it with hed prepare-data, or add workers"
        )
    return ok("reading", text)
