"""Predictions as a table: boxes, scores and areas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from human_edge_prediction.prediction import Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.writers.files import write_whole
from human_edge_prediction.writers.writer import Target

FILE: Final = "persons.csv"
COLUMNS: Final = ("image", "frame", "person", "x1", "y1", "x2", "y2", "score", "area", "share", "boxes_from")
"""``frame`` is empty for an image file; boxes and ``area`` are in pixels; ``share`` is that of the image's area."""


class CsvWriter:
    """One file for all images, a row for each person."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / FILE
        self._text = io.StringIO(newline="")
        self._table = csv.writer(self._text, lineterminator="\n")
        self._table.writerow(COLUMNS)

    def targets(self, source: Source) -> Iterable[Target]:
        """As of ``Writer``."""
        return [Target(self.place)]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Remembers the rows of an image."""
        height, width = frame.size
        where = (frame.source.path.as_posix(), "" if frame.index is None else frame.index)
        rows = []
        for person in prediction.persons():
            box = (f"{value:.2f}" for value in person.box.tolist())
            numbers = (f"{person.score:.4f}", person.area, f"{person.area / (height * width):.6f}")
            rows.append((*where, person.number, *box, *numbers, prediction.boxes_from))
        self._table.writerows(rows)

    def close(self) -> None:
        """As of ``Writer``."""
        write_whole(self.place, self._text.getvalue().encode("utf-8", "surrogateescape"))
