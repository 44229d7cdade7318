"""Figures of what a model sees: image, ground truth, student, teacher and error, side by side."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from human_edge_detection.engine.evaluation.person_maps import paste_classes
from human_edge_detection.experiments.schema.heads import BY_NAME
from human_edge_detection.files.write import write_atomically
from human_edge_detection.metrics.confusion import confusion_matrices
from human_edge_detection.metrics.segmentation import target_iou
from human_edge_detection.structures import CLASS_NAMES, IGNORE, NON_TARGET, TARGET, Batch, SegmentationOutput
from human_edge_prediction.resampling import Value

Pixels = NDArray[np.uint8]
"""An image or a figure, ``(H, W, 3)`` RGB, or a map of classes ``(H, W)``."""
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

PANEL_WIDTHS = (320, 512)
"""Narrowest and widest panel, pixels; an image in between keeps its own width."""
GAP, TITLE_HEIGHT, LEGEND_HEIGHT = 6, 26, 28
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 30, 30)

# After Okabe and Ito: told apart by the colour-blind as well. The colours of errors are not among them.
PERSONS: tuple[Colour, ...] = ((86, 180, 233), (0, 158, 115), (230, 159, 0), (204, 121, 167), (150, 110, 230))
GREY: Colour = (215, 215, 215)
CORRECT: Colour = (130, 190, 130)
FALSE_NEGATIVE: Colour = (40, 90, 255)
FALSE_POSITIVE: Colour = (235, 40, 40)
WRONG_PERSON: Colour = (255, 220, 0)
ERRORS = (CORRECT, FALSE_NEGATIVE, FALSE_POSITIVE, WRONG_PERSON)
"""In the order of the codes 1 to 4 of an error map; where rois overlap, the highest code is shown."""
_FULL_IMAGE = BY_NAME["full_image"].key
LEGEND = {
    "person (own colour)": PERSONS[0],
    "non-target (hatched)": GREY,
    "ignored (dark)": INK,
    "correct": CORRECT,
    "false negative": FALSE_NEGATIVE,
    "false positive": FALSE_POSITIVE,
    "wrong person": WRONG_PERSON,
}


class _Panel(NamedTuple):
    title: str
    pixels: Pixels


class _Model(NamedTuple):
    """A model by the name in titles, with its output to the whole batch."""

    name: str
    output: SegmentationOutput
    with_errors: bool


def draw_comparison(
    batch: Batch, student: SegmentationOutput, teacher: SegmentationOutput | None, *, max_images: int
) -> list[tuple[str, Pixels]]:
    """One figure for each of the first ``max_images`` images of a batch.

    The first row shows the persons: boxes, true masks, the student's, the teacher's, the student's errors. The second
    shows the people of the full image and the probability of a person. What a model has no head for is left out.

    Args:
        batch: What the models were given; any device.
        student: The student's output to it.
        teacher: The teacher's output to it, if there is a teacher.
        max_images: Figures at most.

    Returns:
        ``(file stem, (height, width, 3) uint8 RGB)`` for each image.
    """
    models = [_Model("student", student, with_errors=True)]
    if teacher is not None:
        models.append(_Model("teacher", teacher, with_errors=False))
    return [
        (f"image_{image_id:012d}", _draw_image(batch, models, index))
        for index, image_id in enumerate(batch.image_ids[:max_images])
    ]


def encode_png(rgb: Pixels) -> bytes:
    """A figure as PNG: two thirds of OpenCV's usual size, in a fifth of the time that Pillow takes."""
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    _, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)
    return png.tobytes()


def write_figures(folder: Path, figures: Iterable[tuple[str, bytes]]) -> None:
    """Writes each figure, a PNG, as ``<folder>/<stem>.png``; makes the folder.

    Raises:
        StorageError: A figure cannot be written.
    """
    for stem, png in figures:
        write_atomically(folder / f"{stem}.png", png)


def _draw_image(batch: Batch, models: Sequence[_Model], index: int) -> Pixels:
    image = _readable(batch.images[index])
    rows = [_person_row(image, batch, models, index)]
    of_image = [model for model in models if _FULL_IMAGE in model.output.aux]
    if of_image:
        rows.append(_people_row(image, batch, of_image, index))
    return _assemble(rows)


def _person_row(image: Pixels, batch: Batch, models: Sequence[_Model], index: int) -> list[_Panel]:
    """Boxes, truth, each model's masks, the student's errors."""
    chosen = (batch.rois[:, 0] == index).nonzero()[:, 0]
    boxes = batch.rois[chosen, 1:].float().cpu().numpy()
    truth = batch.roi_masks[chosen]
    true_maps = _paste_all(truth, boxes, image)
    count = "1 person" if len(boxes) == 1 else f"{len(boxes)} persons"
    row = [
        _Panel(f"image, {count}", _draw_boxes(image, boxes)),
        _Panel("ground truth", _draw_persons(image, true_maps)),
    ]
    errors = []
    for name, output, with_errors in models:
        if len(output.logits) != len(batch.rois):
            continue
        classes = output.logits[chosen].argmax(1)
        maps = _paste_all(classes, boxes, image)
        iou = float(target_iou(confusion_matrices(classes, truth, len(CLASS_NAMES))).nanmean())
        title = f"{name}, mean target IoU {iou:.2f}" if iou == iou else name
        row.append(_Panel(title, _draw_persons(image, maps)))
        if with_errors:
            codes = np.zeros(image.shape[:2], np.uint8)
            for prediction, true in zip(maps, true_maps, strict=True):
                codes = np.maximum(codes, _error_codes(prediction, true))
            errors.append(_Panel(f"{name} error", _draw_errors(image, codes)))
    return row + errors


def _people_row(image: Pixels, batch: Batch, models: Sequence[_Model], index: int) -> list[_Panel]:
    """Plain image, all people, each model's probability of a person, the student's errors."""
    size = image.shape[:2]
    truth = batch.person_masks[index].to(torch.uint8).cpu().numpy()
    true_map = resize(truth, size, cv2.INTER_NEAREST)
    row = [_Panel("image", image), _Panel("all people", _draw_persons(image, [true_map]))]
    errors = []
    for name, output, with_errors in models:
        probability = output.aux[_FULL_IMAGE][index, 0].float().sigmoid().cpu().numpy()
        enlarged = resize(probability, size, cv2.INTER_LINEAR)
        row.append(_Panel(f"{name}, person probability", _draw_probability(image, enlarged)))
        if with_errors:
            # Compared before they are enlarged: interpolation would draw errors along every border.
            codes = _error_codes((probability > 0.5).astype(np.uint8), truth)
            drawn = _draw_errors(image, resize(codes, size, cv2.INTER_NEAREST))
            errors.append(_Panel(f"{name} error, all people", drawn))
    return row + errors


def _readable(image: Tensor) -> Pixels:
    """``(3, IH, IW)`` in [0, 1] as pixels of a readable size."""
    pixels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    height, width = pixels.shape[:2]
    panel_width = min(max(width, PANEL_WIDTHS[0]), PANEL_WIDTHS[1])
    return resize(np.ascontiguousarray(pixels), (round(height * panel_width / width), panel_width), cv2.INTER_CUBIC)


def _paste_all(classes: Tensor, boxes: NDArray[np.float32], image: Pixels) -> list[Pixels]:
    """A class map of the whole panel for each roi, background outside it."""
    return paste_classes(classes.to(torch.uint8).cpu().numpy(), boxes, (len(image), len(image[0])))


def _error_codes(prediction: Pixels, truth: Pixels) -> Pixels:
    """Codes of ``ERRORS`` where the roi's own person is predicted or true, 0 elsewhere and where it is ignored."""
    predicted, true = prediction == TARGET, truth == TARGET
    conditions = [
        truth == IGNORE,
        (predicted & (truth == NON_TARGET)) | (true & (prediction == NON_TARGET)),
        predicted & ~true,
        true & ~predicted,
        predicted & true,
    ]
    return np.select(conditions, [0, 4, 3, 2, 1], 0).astype(np.uint8)


def _draw_boxes(image: Pixels, boxes: NDArray[np.float32]) -> Pixels:
    canvas = image.copy()
    height, width = canvas.shape[:2]
    for number, box in enumerate(boxes):
        x1, y1, x2, y2 = (int(side) for side in (box * [width, height, width, height]).round())
        cv2.rectangle(canvas, (x1, y1), (x2, y2), PERSONS[number % len(PERSONS)], 2)
    return canvas


def _draw_persons(image: Pixels, maps: Sequence[Pixels]) -> Pixels:
    """Each map's target in its own colour with an outline, small on top; hatched: people, nobody's target."""
    canvas = _faded(image)
    stack = np.stack([np.zeros(image.shape[:2], np.uint8), *maps])
    target, others, ignored = ((stack == value).any(0) for value in (TARGET, NON_TARGET, IGNORE))
    canvas[ignored] //= 3
    canvas[others & ~target & _stripes(image.shape[:2])] = GREY
    for number in sorted(range(len(maps)), key=lambda number: -int((maps[number] == TARGET).sum())):
        person = maps[number] == TARGET
        colour = PERSONS[number % len(PERSONS)]
        tint(canvas, person, colour, 0.6)
        outlines, _ = cv2.findContours(person.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, 2)
    return canvas


def _draw_errors(image: Pixels, codes: Pixels) -> Pixels:
    canvas = _faded(image)
    for code, colour in enumerate(ERRORS, start=1):
        tint(canvas, codes == code, colour, 0.4 if colour == CORRECT else 0.9)
    return canvas


def _draw_probability(image: Pixels, probability: NDArray[np.float32]) -> Pixels:
    """Colours from dark (0) to bright (1) over a hint of the image, with the border at one half in white."""
    levels = (probability * 255).round().astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    canvas = cv2.addWeighted(heat, 0.75, _faded(image), 0.25, 0.0).astype(np.uint8)
    outlines, _ = cv2.findContours((probability > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, PAPER, 1)
    return canvas


def _faded(image: Pixels) -> Pixels:
    """The image without colour and weaker, so that colours drawn on it stand out."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return (grey * 0.65 + 25).astype(np.uint8)


def tint(canvas: Pixels, where: Mask, colour: Colour, strength: float) -> None:
    """Mixes ``strength`` of ``colour`` into some pixels, in place."""
    canvas[where] = (canvas[where] * (1 - strength) + np.array(colour) * strength).astype(np.uint8)


def _stripes(size: tuple[int, ...]) -> Mask:
    rows, columns = np.indices(size, sparse=True)
    return (rows + columns) % 8 < 3


def resize(values: NDArray[Value], size: tuple[int, ...], interpolation: int) -> NDArray[Value]:
    """``values`` at ``size`` (height, width), by one of OpenCV's interpolations."""
    return cv2.resize(values, (size[1], size[0]), interpolation=interpolation).astype(values.dtype, copy=False)


def _assemble(rows: Sequence[Sequence[_Panel]]) -> Pixels:
    """Rows of titled panels above the legend."""
    height, width = rows[0][0].pixels.shape[:2]
    page_width = GAP + max(map(len, rows)) * (width + GAP)
    page = np.full((len(rows) * (TITLE_HEIGHT + height + GAP), page_width, 3), PAPER, np.uint8)
    for row, panels in enumerate(rows):
        top = row * (TITLE_HEIGHT + height + GAP) + TITLE_HEIGHT
        for column, panel in enumerate(panels):
            left = GAP + column * (width + GAP)
            write_text(page, panel.title, left, top - 8)
            page[top : top + height, left : left + width] = panel.pixels
    return np.concatenate([page, _legend(page_width)])


def _legend(width: int) -> Pixels:
    """Swatches and their meaning, on as many lines as the width needs."""
    lines = [np.full((LEGEND_HEIGHT, width, 3), PAPER, np.uint8)]
    left = GAP
    for label, colour in LEGEND.items():
        (length, _), _ = cv2.getTextSize(label, FONT, FONT_SCALE, 1)
        if left + 22 + length > width and left > GAP:
            lines.append(np.full((LEGEND_HEIGHT, width, 3), PAPER, np.uint8))
            left = GAP
        cv2.rectangle(lines[-1], (left, 7), (left + 15, 20), colour, cv2.FILLED)
        write_text(lines[-1], label, left + 22, 18)
        left += 22 + length + 22
    return np.concatenate(lines)


def write_text(canvas: Pixels, text: str, left: int, baseline: int, scale: float = FONT_SCALE) -> None:
    """Writes a line of ASCII text, in place."""
    cv2.putText(canvas, text, (left, baseline), FONT, scale, INK, 1, cv2.LINE_AA)
