"""Between images and models: the input that a model takes, and persons from its outputs, as a description says.

The one place that knows how models of others differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.description import (
    BoxColumns,
    Column,
    Detections,
    ImageInput,
    Layout,
    MaskColumns,
    PersonMap,
    Prompt,
    PromptedMasks,
)
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.instances import Boxes, Instances
from human_edge_prediction.resampling import resize

Array = NDArray[Any]
Outputs = Mapping[str | int, Array]
"""Of a model, by name and by position."""


class Region(NamedTuple):
    """The part of a model's input that the image covers, as fractions of the input."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Region(0.0, 0.0, 1.0, 1.0)
_ROUNDING: Final = 1e-3
"""So far may half precision and quantisation take a probability out of [0, 1]."""
_FURTHEST: Final = 4.0
"""Fractions of the image that no box reaches, however far it goes beyond the border."""
_LOGITS: Final = "say 'logits' where these are logits"
_NO_ROWS: Final = "a detector without suppression of duplicates, or with other columns, is no list of detections"


def to_input(image: NDArray[np.uint8], wanted: ImageInput) -> tuple[Array, Region]:
    """``image`` as the model takes it, a batch of one, and where on the input it is.

    Args:
        image: ``(H, W, 3)`` RGB.
        wanted: What the model takes.

    Raises:
        AdapterError: The image is not such an array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise AdapterError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    fitted, region = (resize(image, wanted.size), WHOLE) if wanted.fit == "stretch" else _letterbox(image, wanted)
    if wanted.colors == "BGR":
        fitted = fitted[..., ::-1]
    values = (fitted.astype(np.float32) * np.float32(wanted.scale) - _row(wanted.mean)) / _row(wanted.std)
    dtype = np.dtype(wanted.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    if wanted.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], dtype), region


def _row(values: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _letterbox(image: NDArray[np.uint8], wanted: ImageInput) -> tuple[NDArray[np.uint8], Region]:
    """The image in the middle of the input, as large as it can be in its proportions."""
    height, width = wanted.size
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    canvas = np.full((height, width, 3), wanted.pad, np.uint8)
    canvas[top : top + inner[0], left : left + inner[1]] = resize(image, inner)
    return canvas, Region(left / width, top / height, (left + inner[1]) / width, (top + inner[0]) / height)


def person_map(outputs: Outputs, wanted: PersonMap, *, layout: Layout, region: Region) -> NDArray[np.float32]:
    """The probability of a person at each pixel of the part of the output that the image covers.

    Args:
        outputs: Of the model.
        wanted: What they mean.
        layout: Of the input, which an output has too unless ``wanted`` says otherwise.
        region: Where on the input the image is.

    Returns:
        ``(h, w)`` in [0, 1], of no particular size.

    Raises:
        AdapterError: The output is not there or of another shape.
    """
    output = _output(outputs, wanted.name)
    if wanted.values == "classes":
        probabilities = (_plane(output, wanted.name) == wanted.person_class).astype(np.float32)
    else:
        channels = _channels(output, wanted, layout)
        values = channels.astype(np.float32)
        values = _probabilities(values) if wanted.values == "logits" else _checked(values, wanted.name, _LOGITS)
        probabilities = values[wanted.person_class or 0]
    rows = _span(region.top, region.bottom, probabilities.shape[0])
    columns = _span(region.left, region.right, probabilities.shape[1])
    return np.asarray(probabilities[rows, columns], np.float32)


def _channels(output: Array, wanted: PersonMap, layout: Layout) -> Array:
    """``(C, h, w)``."""
    if output.ndim == 3:
        output = output[:, None] if (wanted.layout or layout) == "NCHW" else output[..., None]
    if output.ndim != 4 or len(output) != 1:
        raise AdapterError(f"output {wanted.name}: expected logits or probabilities of one image, got {output.shape}")
    channels = output[0] if (wanted.layout or layout) == "NCHW" else output[0].transpose(2, 0, 1)
    if wanted.person_class is None and len(channels) != 1:
        raise AdapterError(
            f"output {wanted.name} {output.shape} has {len(channels)} channels in layout "
            f"{wanted.layout or layout}; say which is a person: person_class"
        )
    if not 0 <= (wanted.person_class or 0) < len(channels):
        raise AdapterError(f"output {wanted.name}: no channel {wanted.person_class}, there are {len(channels)}")
    return np.asarray(channels)


def _plane(output: Array, name: str | int) -> Array:
    """``(h, w)`` of an output with further axes of 1."""
    sides = [side for side in output.shape if side != 1]
    if len(sides) != 2:
        raise AdapterError(f"output {name}: expected a class for each pixel (1, h, w), got {output.shape}")
    return output.reshape(sides)


def _span(start: float, end: float, length: int) -> slice:
    first = round(start * length)
    return slice(first, max(first + 1, round(end * length)))


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the first axis; the sigmoid where that has one entry."""
    if len(logits) == 1:
        return _sigmoid(logits)
    powers = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(powers / powers.sum(axis=0, keepdims=True), np.float32)


def _checked(values: NDArray[np.float32], name: str | int, advice: str) -> NDArray[np.float32]:
    """``values``, which have to be probabilities."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
        raise AdapterError(f"output {name}: expected values in [0, 1], got {low:.3g} to {high:.3g}; {advice}")
    return np.clip(values, 0.0, 1.0)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0))), np.float32)


def detections(outputs: Outputs, wanted: Detections, *, size: tuple[int, int], region: Region) -> Boxes:
    """The boxes of persons; rows with a score of 0 or a box without area are padding and left out.

    Args:
        outputs: Of the model.
        wanted: What they mean.
        size: (height, width) of the input.
        region: Where on the input the image is.

    Raises:
        AdapterError: An output is not there or of another shape.
    """
    boxes, scores, _ = _persons(outputs, wanted, size)
    return Boxes(in_image(boxes, region), scores)


def instances(outputs: Outputs, wanted: Detections, *, size: tuple[int, int], region: Region) -> Instances:
    """The persons of a description with masks; arguments and errors as of :func:`detections`."""
    assert wanted.masks is not None  # of kind "instances"
    boxes, scores, kept = _persons(outputs, wanted, size)
    masks = _masks(outputs, wanted.masks, kept)
    frames = boxes if wanted.masks.covers == "box" else np.tile(np.array(WHOLE, np.float32), (len(boxes), 1))
    return Instances(in_image(boxes, region), scores, masks, in_image(frames, region))


def _persons(
    outputs: Outputs, wanted: Detections, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes as fractions of the input, scores, and which of all detections they are."""
    boxes = _corners(_rows(outputs, wanted.boxes), wanted.boxes, size)
    count = len(boxes)
    scores = _for_each(outputs, wanted.scores, count)
    is_person = np.ones(count, bool)
    column = 0
    if wanted.classes is not None:
        is_person = np.rint(_for_each(outputs, wanted.classes, count)[:, 0]) == wanted.person_class
    elif wanted.person_class is not None:
        column = wanted.person_class
    if column >= scores.shape[1] or (scores.shape[1] > 1 and wanted.classes is None and wanted.person_class is None):
        raise AdapterError(
            f"scores of output {wanted.scores.name}: {scores.shape[1]} columns; say which is a person: person_class"
        )
    chosen = _checked(scores[:, column].astype(np.float32), wanted.scores.name, _NO_ROWS)
    kept = is_person & (chosen > 0) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return boxes[kept], chosen[kept], kept


def _rows(outputs: Outputs, column: Column) -> Array:
    """``(N, k)``: the columns of each detection."""
    output = _output(outputs, column.name)
    if output.ndim == 3 and len(output) == 1:
        output = output[0]
    if output.ndim != 2:
        raise AdapterError(f"output {column.name}: expected (1, N, columns), got {output.shape}")
    return _columns(output, column)


def _columns(rows: Array, column: Column) -> Array:
    if column.columns is None:
        return rows
    if column.columns[1] > rows.shape[1]:
        raise AdapterError(f"output {column.name}: no columns {list(column.columns)}, there are {rows.shape[1]}")
    return rows[:, slice(*column.columns)]


def _for_each(outputs: Outputs, column: Column, count: int) -> Array:
    """``(count, k)``, also of an output ``(1, N)`` or ``(N,)``."""
    output = _output(outputs, column.name)
    if output.size == count:
        return output.reshape(count, 1)
    rows = _rows(outputs, column)
    if len(rows) != count:
        raise AdapterError(f"output {column.name}: {len(rows)} rows, and there are {count} boxes")
    return rows


def _corners(numbers: Array, wanted: BoxColumns, size: tuple[int, int]) -> NDArray[np.float32]:
    """x1, y1, x2, y2 as fractions of an input of ``size``."""
    if numbers.shape[1] != 4:
        raise AdapterError(f"boxes of output {wanted.name}: expected 4 columns, got {numbers.shape[1]}; give 'columns'")
    first, second, third, fourth = numbers.astype(np.float32).T
    if wanted.format == "yxyx":
        first, second, third, fourth = second, first, fourth, third
    elif wanted.format == "cxcywh":
        first, second, third, fourth = first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2
    elif wanted.format == "xywh":
        third, fourth = first + third, second + fourth
    corners = np.stack([first, second, third, fourth], axis=1)
    _check_units(corners, wanted)
    if wanted.units == "pixels":
        corners = corners / np.array([size[1], size[0], size[1], size[0]], np.float32)
    return np.asarray(corners, np.float32)


def _check_units(corners: NDArray[np.float32], wanted: BoxColumns) -> None:
    """Refuses boxes far outside of the image, or all within a pixel of its corner: the units are the others."""
    furthest = float(corners.max(initial=0.0))
    if wanted.units == "fractions" and furthest > _FURTHEST:
        raise AdapterError(
            f"boxes of output {wanted.name}: expected fractions, got up to {furthest:.6g}; say units 'pixels'"
        )
    if wanted.units == "pixels" and 0.0 < furthest <= 1.0:
        raise AdapterError(
            f"boxes of output {wanted.name}: expected pixels, got none above {furthest:.3g}; say units 'fractions'"
        )


def in_image(boxes: NDArray[np.float32], region: Region) -> NDArray[np.float32]:
    """``(N, 4)`` corners as fractions of the input, as fractions of the image that covers ``region`` of it."""
    offset = np.array([region.left, region.top] * 2, np.float32)
    extent = np.array([region.right - region.left, region.bottom - region.top] * 2, np.float32)
    return np.asarray((boxes - offset) / extent, np.float32)


def prompts(boxes: NDArray[np.float32], wanted: Prompt, *, size: tuple[int, int], region: Region) -> Array:
    """Boxes as a model wants to be told them.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2 as fractions of the image.
        wanted: How.
        size: Of the input.
        region: Where on the input the image is.

    Returns:
        ``(N, 4)``, or ``(N, 2, 2)`` corner points where there are labels.
    """
    offset = np.array([region.left, region.top] * 2, np.float32)
    extent = np.array([region.right - region.left, region.bottom - region.top] * 2, np.float32)
    corners = offset + boxes * extent
    if wanted.units == "pixels":
        corners = corners * np.array([size[1], size[0]] * 2, np.float32)
    left, top, right, bottom = corners.T
    columns = {
        "xyxy": (left, top, right, bottom),
        "yxyx": (top, left, bottom, right),
        "cxcywh": ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top),
        "xywh": (left, top, right - left, bottom - top),
    }[wanted.format]
    numbers = np.stack(columns, axis=1).astype(np.float32)
    return numbers if wanted.labels is None else numbers.reshape(-1, 2, 2)


def prompted_masks(
    outputs: Outputs, wanted: PromptedMasks, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The masks of ``count`` boxes, and how good the model says they are.

    Returns:
        ``(count, h, w)`` probabilities, and ``(count,)`` in [0, 1], None where it says nothing.

    Raises:
        AdapterError: An output is not there or of another shape.
    """
    output = _output(outputs, wanted.masks)
    if output.ndim < 3 or not output.size or output.size % (count * output.shape[-2] * output.shape[-1]):
        raise AdapterError(f"output {wanted.masks}: expected masks (N, h, w) of N = {count} boxes, got {output.shape}")
    proposals = output.reshape(count, -1, *output.shape[-2:]).astype(np.float32)
    found = proposals.shape[1]
    scores = None
    if wanted.scores is not None:
        quality = _output(outputs, wanted.scores)
        if quality.size != count * found:
            raise AdapterError(f"output {wanted.scores}: expected {found} scores of {count} boxes, got {quality.shape}")
        quality = quality.reshape(count, found).astype(np.float32)
        chosen = quality.argmax(axis=1)
        scores = np.clip(quality[np.arange(count), chosen], 0.0, 1.0)
    elif wanted.channel is None and found > 1:
        raise AdapterError(f"output {wanted.masks}: {found} masks for a box; say which: channel, or scores")
    elif (wanted.channel or 0) >= found:
        raise AdapterError(f"output {wanted.masks}: no channel {wanted.channel}, there are {found}")
    else:
        chosen = np.full(count, wanted.channel or 0)
    values = proposals[np.arange(count), chosen]
    return _sigmoid(values) if wanted.values == "logits" else _checked(values, wanted.masks, _LOGITS), scores


def _masks(outputs: Outputs, wanted: MaskColumns, kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``(N, h, w)`` probabilities of the detections that are kept."""
    count = len(kept)
    if wanted.prototypes is not None:
        prototypes = _output(outputs, wanted.prototypes)
        coefficients = _rows(outputs, wanted)[kept].astype(np.float32)
        if prototypes.ndim != 4 or len(prototypes) != 1 or prototypes.shape[1] != coefficients.shape[1]:
            raise AdapterError(
                f"output {wanted.prototypes}: expected (1, {coefficients.shape[1]}, h, w) for so many coefficients, "
                f"got {prototypes.shape}"
            )
        values = np.einsum("np,phw->nhw", coefficients, prototypes[0].astype(np.float32))
    else:
        values = _planes(_output(outputs, wanted.name), wanted, count)[kept].astype(np.float32)
    return _sigmoid(values) if wanted.values == "logits" else _checked(values, wanted.name, _LOGITS)


def _planes(output: Array, wanted: MaskColumns, count: int) -> Array:
    """``(N, h, w)`` of all detections."""
    if output.ndim < 3:
        raise AdapterError(f"output {wanted.name}: expected masks (N, h, w), got {output.shape}")
    channels = output.size // max(1, count * output.shape[-2] * output.shape[-1])
    if output.size and output.size != count * channels * output.shape[-2] * output.shape[-1]:
        raise AdapterError(f"output {wanted.name} {output.shape} holds no mask for each of {count} boxes")
    if not 0 <= (wanted.channel or 0) < max(1, channels) or (wanted.channel is None and channels > 1):
        raise AdapterError(f"output {wanted.name} {output.shape}: {channels} channels; say which is a person: channel")
    return output.reshape(count, max(1, channels), *output.shape[-2:])[:, wanted.channel or 0]


def _output(outputs: Outputs, name: str | int) -> Array:
    if name not in outputs:
        known = [f"{one!r}" for one in outputs if isinstance(one, str)]
        raise AdapterError(f"the model has no output {name!r}; it has {', '.join(known)}, or positions from 0")
    return outputs[name]
