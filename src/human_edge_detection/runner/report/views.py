"""What training saw: augmented views with their labels, as each run recorded some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runner.report.pictures import Pictures, overlay, size_of
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runner.report.runs import Run
from human_edge_detection.runs.person_maps import MAX_BYTES, TrainingViews
from human_edge_detection.runs.records import read_section

_MOST_SHEETS = 4


class View(NamedTuple):
    """One training view: file name, picture, overlay of its labels, (height, width)."""

    title: str
    image: str
    persons: str
    size: tuple[int, int]


class Sheet(NamedTuple):
    """Views that some runs have in common."""

    runs: tuple[str, ...]
    views: tuple[View, ...]


class SeenInTraining(NamedTuple):
    """The sheets, how many more there are, and runs that recorded none."""

    sheets: tuple[Sheet, ...]
    more: int
    missing: tuple[str, ...]


def seen_in_training(runs: Sequence[Run], pictures: Pictures, hidden: Private) -> SeenInTraining:
    """The views of ``runs``, equal ones once; their pictures go into ``pictures``."""
    sheets: dict[TrainingViews, list[str]] = {}
    missing = []
    for run in runs:
        try:
            found = read_section(TrainingViews, run.record.paths.training_views, max_bytes=MAX_BYTES)
        except CheckpointError:
            found = None
        if found is None or not found.views:
            missing.append(run.name)
        else:
            sheets.setdefault(found, []).append(run.name)
    shown = list(sheets.items())[:_MOST_SHEETS]
    drawn = [Sheet(tuple(names), _views(found, pictures, hidden)) for found, names in shown]
    return SeenInTraining(tuple(sheet for sheet in drawn if sheet.views), len(sheets) - len(shown), tuple(missing))


def _views(found: TrainingViews, pictures: Pictures, hidden: Private) -> tuple[View, ...]:
    views = []
    for view in found.views:
        try:
            size = size_of(view.image)
            names = pictures.add_all(view.image, [overlay(view.persons)])
        except CheckpointError:
            continue
        if names is not None:
            image, persons = names
            views.append(View(hidden(view.file_name), image, persons, size))
    return tuple(views)
