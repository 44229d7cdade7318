"""Persons drawn on an image: a tint and an outline of the mask, a thin box, the score; one colour a person.

Strokes and letters grow with the image, so that they look alike at any size, and never become too small to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from human_edge_prediction.images.read import Image
    from human_edge_prediction.prediction import Person

Color = tuple[int, int, int]
_Box = tuple[int, int, int, int]
"""First column and row, last column and row."""
COLORS: Final[tuple[Color, ...]] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""RGB that people with any colour vision tell apart (Okabe and Ito, "Color Universal Design", 2008); first the one that
skin and clothes have least."""
_TINT: Final = 0.4
"""How much of a person's pixels is colour."""
_SHADOW: Final = 0.6
"""How dark an outline's shadow is."""
_DARK: Final[Color] = (20, 20, 20)
_WHITE: Final[Color] = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX: Final = 21
"""Height of a digit at scale 1."""
_LETTERS: Final = 1 / 42
"""Height of a digit, of the image's shorter side."""
_LEAST_LETTERS_PX: Final = 7
_STROKES: Final = 1 / 350
"""Width of an outline, of the image's shorter side."""


class _Drawn(NamedTuple):
    """What of a person is drawn above the tints of all."""

    color: Color
    corners: _Box
    outlines: Sequence[NDArray[Any]]
    score: float


def draw_persons(image: Image, persons: Iterable[Person]) -> Image:
    """A copy of ``image``, ``(H, W, 3)`` RGB, with the persons on it."""
    drawn = image.copy()
    above: list[_Drawn] = []
    # 1. The tints, and what is to be above them.
    for person in persons:
        corners = _corners(person.box, image.shape[:2])
        color = _free_color(corners, above)
        part = drawn[person.place]
        tinted = cv2.addWeighted(part, 1 - _TINT, np.full_like(part, color), _TINT, 0) if part.size else part
        np.copyto(part, tinted, where=person.mask[:, :, None])
        rows, columns = person.place
        outlines, _ = cv2.findContours(
            person.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(columns.start, rows.start)
        )
        above.append(_Drawn(color, corners, outlines, person.score))
    # 2. Thin boxes, then outlines on a shadow, which parts them from an image of their own colour.
    width = max(1, round(min(image.shape[:2]) * _STROKES))
    shadowed = drawn.copy()
    for one in above:
        cv2.drawContours(shadowed, one.outlines, -1, _DARK, width + 2, cv2.LINE_AA)
    drawn = np.asarray(cv2.addWeighted(drawn, 1 - _SHADOW, shadowed, _SHADOW, 0), np.uint8)
    for one in above:
        cv2.rectangle(drawn, one.corners[:2], one.corners[2:], one.color, max(1, width // 2))
    for one in above:
        cv2.drawContours(drawn, one.outlines, -1, one.color, width, cv2.LINE_AA)
    # 3. Scores.
    _draw_scores(drawn, above)
    return drawn


def _corners(box: NDArray[np.float32], size: tuple[int, int]) -> _Box:
    """The first and the last pixel of a box."""
    height, width = size
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    return max(0, x1), max(0, y1), min(width, max(x1 + 1, x2)) - 1, min(height, max(y1 + 1, y2)) - 1


def _free_color(corners: _Box, others: Sequence[_Drawn]) -> Color:
    """The colour that fewest persons have whose boxes overlap with this one, of these the one that fewest have."""

    def uses(color: Color) -> tuple[int, int]:
        same = np.array([other.corners for other in others if other.color == color], np.int64).reshape(-1, 4)
        return _meeting(corners, same), len(same)

    return min(COLORS, key=uses)


def _draw_scores(image: Image, persons: Sequence[_Drawn]) -> None:
    """Writes each score at its box, where no score is yet and fewest other persons are covered; else leaves it out."""
    height, width = image.shape[:2]
    digits = max(_LEAST_LETTERS_PX, round(min(height, width) * _LETTERS))
    scale, strokes, margin = digits / _FONT_HEIGHT_PX, max(1, round(digits / 9)), max(2, digits // 3)
    boxes = np.array([person.corners for person in persons], np.int64).reshape(-1, 4)
    taken = np.zeros((0, 4), np.int64)
    for person in persons:
        text = f"{person.score:.2f}"
        (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, strokes)
        sides = text_width + 2 * margin, text_height + 2 * margin
        free = [label for label in _labels(person.corners, sides, (height, width)) if not _meeting(label, taken)]
        if free:
            label = min(free, key=lambda one: _meeting(one, boxes))
            taken = np.concatenate([taken, [label]])
            cv2.rectangle(image, label[:2], label[2:], person.color, cv2.FILLED)
            at = (label[0] + margin, label[3] - margin)
            cv2.putText(image, text, at, _FONT, scale, _readable_on(person.color), strokes, cv2.LINE_AA)


def _labels(box: _Box, sides: tuple[int, int], size: tuple[int, int]) -> Iterator[_Box]:
    """Places for a label with ``sides`` (width, height) that lie in an image of ``size``: (height, width).

    Above the box, inside at its top, below it, inside at its bottom; each first at its left, then at its right.
    """
    width, height = sides
    for top in (box[1] - height, box[1], box[3] + 1, box[3] + 1 - height):
        for left in (box[0], box[2] + 1 - width):
            inside = min(max(left, 0), size[1] - width)
            if inside >= 0 <= top and top + height <= size[0]:
                yield inside, top, inside + width - 1, top + height - 1


def _meeting(box: _Box, others: NDArray[np.int64]) -> int:
    """How many of ``others``, ``(N, 4)``, share a pixel with ``box``."""
    left, top, right, bottom = others.T
    return int(((left <= box[2]) & (box[0] <= right) & (top <= box[3]) & (box[1] <= bottom)).sum())


def _readable_on(color: Color) -> Color:
    """Black or white, whichever has more contrast (luma of ITU-R BT.601)."""
    red, green, blue = color
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else _WHITE
