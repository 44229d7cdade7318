"""How a model comes to its result, as one picture an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.images.read import Image
from human_edge_prediction.prediction import BACKGROUND, OTHERS, PERSON, Prediction
from human_edge_prediction.resampling import paste_roi, resize
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.writers.files import jpeg
from human_edge_prediction.writers.pictures import CLASS_COLOURS
from human_edge_prediction.writers.writer import FileForEach

Colour = tuple[int, int, int]
_PANEL_PX: Final = (320, 560)
"""Shortest and longest the longer side of a panel may be; an image in between keeps its size."""
_COLUMNS: Final = 3
_GAP: Final = 8
_TITLE: Final = 26
_LINE: Final = 24
_LEGEND_PX: Final = 540
"""Width of the legend."""
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_PAPER: Final[Colour] = (255, 255, 255)
_INK: Final[Colour] = (30, 30, 30)
_BOX: Final[Colour] = (240, 228, 66)
_BORDER: Final[Colour] = (255, 255, 255)


class _Panel(NamedTuple):
    title: str
    pixels: Image


class StepsWriter(FileForEach):
    """``NAME.jpg``: boxes, person map, then for each box foreground and whose it is, and the result."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ".jpg")

    def content(self, frame: Frame, prediction: Prediction) -> bytes:
        """As of :class:`FileForEach`."""
        return jpeg(draw_steps(frame.image, prediction))


def draw_steps(image: Image, prediction: Prediction) -> Image:
    """The picture, ``(height, width, 3)`` RGB; steps that a model does not have are left out.

    Args:
        image: ``(H, W, 3)`` RGB.
        prediction: Of it.
    """
    shown = _readable(image)
    size = (shown.shape[0], shown.shape[1])
    persons = "1 box" if len(prediction) == 1 else f"{len(prediction)} boxes"
    panels = [_Panel(f"image, {persons}: {prediction.boxes_from}", _with_boxes(shown, prediction))]
    if prediction.person_probabilities is not None:
        people = np.asarray(resize(prediction.person_probabilities, size), np.float32)
        panels.append(_Panel("person map", _heat(shown, people)))
    if prediction.roi_probabilities is not None and len(prediction):
        inside, rois = _pasted(prediction, size)
        foreground = 1.0 - rois[BACKGROUND]
        panels.append(_Panel("in boxes: foreground", _heat(shown, np.where(inside, foreground, 0.0), inside)))
        panels.append(_Panel("in boxes: target, other person", _classes(shown, rois, inside)))
    panels.append(_Panel("result", resize(prediction.draw(image), size)))
    return _page(panels)


def _readable(image: Image) -> Image:
    longer = max(image.shape[:2])
    factor = min(max(longer, _PANEL_PX[0]), _PANEL_PX[1]) / longer
    size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
    return np.asarray(resize(image, size), np.uint8)


def _pasted(prediction: Prediction, size: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Where any box is, ``(H, W)``, and ``(3, H, W)`` probabilities there.

    Where boxes overlap, they are those of the box that is surest of its person; background is where all see it.
    """
    assert prediction.roi_probabilities is not None
    inside = np.zeros(size, bool)
    best = np.zeros((3, *size), np.float32)
    best[BACKGROUND] = 1.0
    for frame, probabilities in zip(prediction.instances.frames, prediction.roi_probabilities, strict=True):
        planes = [paste_roi(plane, frame, size, linear=True) for plane in probabilities]
        where = planes[0][0]
        values = np.stack([plane for _, plane in planes])
        inside[where] = True
        known = best[:, where[0], where[1]]
        surer = values[PERSON] > known[PERSON]
        surer |= (values[BACKGROUND] < known[BACKGROUND]) & (known[PERSON] < 0.5)
        best[:, where[0], where[1]] = np.where(surer, values, known)
    return inside, best


def _with_boxes(image: Image, prediction: Prediction) -> Image:
    canvas = image.copy()
    scale = np.array([image.shape[1] / prediction.image_size[1], image.shape[0] / prediction.image_size[0]] * 2)
    for box in prediction.boxes:
        x1, y1, x2, y2 = (int(side) for side in (box * scale).round())
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _INK, 3)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _BOX, 1)
    return canvas


def _heat(image: Image, probability: NDArray[np.float32], inside: NDArray[np.bool_] | None = None) -> Image:
    """Dark for 0 to bright for 1 over a hint of the image, with the border at one half; grey outside of ``inside``."""
    levels = (probability * 255).round().astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    canvas = np.asarray(cv2.addWeighted(heat, 0.75, _faded(image), 0.25, 0.0), np.uint8)
    if inside is not None:
        canvas = np.where(inside[..., None], canvas, _faded(image))
    outlines, _ = cv2.findContours((probability > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, _BORDER, 1)
    return canvas


def _classes(image: Image, probabilities: NDArray[np.float32], inside: NDArray[np.bool_]) -> Image:
    """The likeliest class of each pixel in a box, over a hint of the image."""
    canvas = _faded(image)
    classes = np.where(inside, probabilities.argmax(0), BACKGROUND)
    for number in (PERSON, OTHERS):
        where = classes == number
        canvas[where] = (canvas[where] * 0.35 + np.array(CLASS_COLOURS[number]) * 0.65).astype(np.uint8)
    return canvas


def _faded(image: Image) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(grey * 0.65 + 25, np.uint8)


def _page(panels: Sequence[_Panel]) -> Image:
    """Titled panels in rows, above the legend."""
    height, width = panels[0].pixels.shape[:2]
    cell = max(width, *(_width(panel.title) for panel in panels))
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    page_width = max(_GAP + columns * (cell + _GAP), _LEGEND_PX)
    page = np.full((rows * (_TITLE + height + _GAP), page_width, 3), _PAPER, np.uint8)
    for number, (title, pixels) in enumerate(panels):
        row, column = divmod(number, columns)
        top, left = row * (_TITLE + height + _GAP) + _TITLE, _GAP + column * (cell + _GAP)
        _write(page, title, left, top - 8)
        page[top : top + height, left : left + width] = pixels
    return np.concatenate([page, _legend(page.shape[1])])


def _legend(width: int) -> Image:
    line = np.full((_LINE, width, 3), _PAPER, np.uint8)
    ramp = cv2.applyColorMap(np.linspace(0, 255, 80).astype(np.uint8)[None], cv2.COLORMAP_VIRIDIS)
    line[5:19, _GAP : _GAP + 80] = cv2.cvtColor(ramp, cv2.COLOR_BGR2RGB)
    left = _GAP + 86
    _write(line, "probability 0 to 1", left, 17)
    left += _width("probability 0 to 1") + 20
    for label, colour in (
        ("in boxes: target", CLASS_COLOURS[PERSON]),
        ("other person", CLASS_COLOURS[OTHERS]),
        ("box", _BOX),
    ):
        cv2.rectangle(line, (left, 5), (left + 14, 18), colour, cv2.FILLED)
        _write(line, label, left + 20, 17)
        left += 20 + _width(label) + 20
    return line


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0])


def _write(canvas: Image, text: str, left: int, baseline: int) -> None:
    cv2.putText(canvas, text, (left, baseline), _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
