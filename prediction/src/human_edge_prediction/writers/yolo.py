"""Predictions as YOLO segmentation labels: a line a person, its class and a polygon as fractions of the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.prediction import Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.writers.writer import FileForEach

_CLASS = 0
"""There is one: person."""


class YoloWriter(FileForEach):
    """``NAME.txt``; an image with nobody has an empty one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ".txt")

    def content(self, frame: Frame, prediction: Prediction) -> bytes:
        """As of :class:`FileForEach`; a person without a pixel has no line."""
        height, width = frame.size
        lines = []
        for person in prediction.persons():
            rows, columns = person.place
            outline = polygon(person.mask)
            if len(outline):
                corners = (outline + np.array([columns.start + 0.5, rows.start + 0.5])) / (width, height)
                lines.append(f"{_CLASS} " + " ".join(f"{value:.6f}" for value in corners.ravel().tolist()) + "\n")
        return "".join(lines).encode()


def polygon(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One polygon around a mask, as the format has one for each object.

    Parts and holes are joined to it by lines there and back, which enclose nothing by the even-odd rule, as the
    converters of others do it.

    Args:
        mask: ``(h, w)``.

    Returns:
        ``(P, 2)`` x and y of pixels on the border, P at least 3; none for an empty mask.
    """
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = [np.asarray(border[:, 0], np.int64) for border in borders]
    if not loops:
        return np.zeros((0, 2), np.int64)
    joined = max(loops, key=len)
    for loop in sorted((one for one in loops if one is not joined), key=len, reverse=True):
        joined = _joined(joined, loop)
    return joined if len(joined) >= 3 else np.resize(joined, (3, 2))


def _joined(outline: NDArray[np.int64], loop: NDArray[np.int64]) -> NDArray[np.int64]:
    """``outline`` with a way to ``loop``, once around that, and back, where the two are nearest."""
    distances = ((outline[:, None] - loop[None]) ** 2).sum(2)
    at, start = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.concatenate([loop[start:], loop[: start + 1]])
    parts: Sequence[NDArray[np.int64]] = (outline[: at + 1], around, outline[at:])
    return np.concatenate(parts)
