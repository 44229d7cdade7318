"""What a model takes and what its outputs mean, as plain data: all that is known of a model that is not ours.

As JSON, a person map (a class for each pixel, of which 15 is a person)::

    {"kind": "person_map",
     "input": {"size": [513, 513], "layout": "NHWC", "dtype": "uint8", "scale": 1.0},
     "output": {"values": "classes", "person_class": 15}}

and an instance segmentation whose rows are x1, y1, x2, y2, score, class and 32 coefficients of prototype masks::

    {"kind": "instances",
     "input": {"size": [640, 640], "fit": "letterbox"},
     "output": {"boxes": {"name": "output0", "columns": [0, 4]}, "scores": {"name": "output0", "columns": [4, 5]},
                "classes": {"name": "output0", "columns": [5, 6]}, "person_class": 0,
                "masks": {"name": "output0", "columns": [6, 38], "prototypes": "output1", "values": "logits"}}}

and one that makes masks in the boxes that it is given, as two corner points, in two files, as SAM is exported::

    {"kind": "prompted",
     "input": {"size": [1024, 1024], "fit": "letterbox", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
     "prompt": {"boxes": "point_coords", "labels": "point_labels", "encoder": "sam_encoder.onnx",
                "constants": [{"name": "mask_input", "shape": [1, 1, 256, 256]},
                              {"name": "has_mask_input", "shape": [1]},
                              {"name": "orig_im_size", "shape": [2], "value": 1024}]},
     "output": {"masks": "masks", "values": "logits", "scores": "iou_predictions"}}

What the model file itself says of its input (``size``, ``layout``, ``dtype``) may be left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["person_map", "instances", "prompted", "boxes"]
Layout = Literal["NCHW", "NHWC"]
Name = str | int
"""Name of an input or an output of a model, or its position."""
_MAX_SIDE_PX: Final = 16_384
_MAX_CONSTANT: Final = 16_777_216
"""Values of an input that is the same for every image."""


@dataclass(frozen=True)
class ImageInput:
    """The image that a model takes; a value of it is ``(pixel * scale - mean) / std`` of a pixel from 0 to 255.

    Attributes:
        size: (height, width) in pixels.
        name: Of the input.
        layout: Order of the axes; the batch is one image.
        dtype: Type of the values; integers are rounded.
        colors: Order of the channels.
        scale: Factor of the pixel.
        mean: Of the three channels, in the order of ``colors``.
        std: Alike.
        fit: ``stretch`` the image to ``size``, or keep its proportions and fill up with grey (``letterbox``).
        pad: The grey of ``letterbox``, 0 to 255.
    """

    size: tuple[int, int]
    name: Name = 0
    layout: Layout = "NCHW"
    dtype: Literal["float32", "float16", "uint8", "int8"] = "float32"
    colors: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Literal["stretch", "letterbox"] = "stretch"
    pad: int = 114

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if not all(1 <= side <= _MAX_SIDE_PX for side in self.size):
            return f"size: expected height and width from 1 to {_MAX_SIDE_PX}, got {list(self.size)}"
        if not all(self.std):
            return f"std: expected no 0, got {list(self.std)}"
        if not self.scale:
            return "scale: expected no 0, which makes all images one"
        if self.dtype in ("uint8", "int8") and self.scale == ImageInput.scale:
            return f"scale: expected what makes {self.dtype} values of a pixel, 1.0 for the pixel itself, got 1/255"
        return None if 0 <= self.pad <= 255 else f"pad: expected 0 to 255, got {self.pad}"


@dataclass(frozen=True)
class PersonMap:
    """The output that says where persons are, of the size of the input or any other.

    Attributes:
        values: ``classes`` (a class for each pixel), ``logits`` or ``probabilities`` (of each class).
        name: Of the output.
        person_class: The class, or the channel, of persons; None: there is one channel, and it is that.
        layout: Order of the axes where there are channels; None: as the input's.
    """

    values: Literal["classes", "logits", "probabilities"]
    name: Name = 0
    person_class: int | None = None
    layout: Layout | None = None

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if self.values == "classes" and self.person_class is None:
            return "person_class: 'values' are classes, and it is not said which of them is a person"
        return _negative(self.person_class)

    @property
    def outputs(self) -> tuple[Name, ...]:
        """The outputs that are read."""
        return (self.name,)


@dataclass(frozen=True)
class Column:
    """A number for each of N detections: an output ``(1, N)`` or ``(N,)``, or columns of ``(1, N, C)``.

    Attributes:
        name: Of the output.
        columns: [first, behind the last] of the last axis; None: all.
    """

    name: Name
    columns: tuple[int, int] | None = None

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if self.columns is not None and not 0 <= self.columns[0] < self.columns[1]:
            return f"columns: expected [first, behind the last], got {list(self.columns)}"
        return None


@dataclass(frozen=True)
class BoxColumns(Column):
    """The four numbers of each box.

    Attributes:
        format: Corners, or centre and size, or first corner and size.
        units: Pixels of the input, or fractions of it.
    """

    format: Literal["xyxy", "yxyx", "cxcywh", "xywh"] = "xyxy"
    units: Literal["pixels", "fractions"] = "pixels"


@dataclass(frozen=True)
class MaskColumns(Column):
    """The mask of each detection: an output ``(N, h, w)`` or ``(N, C, h, w)``, a batch of one in front or not.

    Attributes:
        values: What a mask holds.
        covers: The part of the input that a mask covers: the box, or the whole ``image``.
        channel: Which of C; None: there is one.
        prototypes: Output ``(1, P, h, w)``; then the columns are P coefficients, and a mask is their weighted sum.
    """

    values: Literal["logits", "probabilities"] = "probabilities"
    covers: Literal["box", "image"] = "image"
    channel: int | None = None
    prototypes: Name | None = None


@dataclass(frozen=True)
class Detections:
    """The outputs of a detector whose duplicates are already suppressed.

    Attributes:
        boxes: Four numbers for each detection.
        scores: In [0, 1]: one column, or one for each class.
        classes: The class of each detection; None: all are persons, or the scores have a column for each class.
        person_class: The class, or the column of the scores, of persons.
        masks: Of each detection; None: there are boxes only.
        min_score: Who scores less is not taken for a person, unless a caller says otherwise.
    """

    boxes: BoxColumns
    scores: Column
    classes: Column | None = None
    person_class: int | None = None
    masks: MaskColumns | None = None
    min_score: float = 0.5

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if not 0.0 <= self.min_score <= 1.0:
            return f"min_score: expected 0 to 1, got {self.min_score}"
        if self.classes is not None and self.person_class is None:
            return "person_class: there are classes, and it is not said which of them is a person"
        return _negative(self.person_class)

    @property
    def outputs(self) -> tuple[Name, ...]:
        """The outputs that are read."""
        columns = (self.boxes, self.scores, self.classes, self.masks)
        names = [column.name for column in columns if column is not None]
        return (*names, *(() if self.masks is None or self.masks.prototypes is None else (self.masks.prototypes,)))


@dataclass(frozen=True)
class Constant:
    """An input that is the same for every image.

    Attributes:
        name: Of the input.
        shape: Of it.
        value: At each place.
    """

    name: Name
    shape: tuple[int, ...]
    value: float = 0.0

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if all(1 <= side <= _MAX_SIDE_PX for side in self.shape) and math.prod(self.shape) <= _MAX_CONSTANT:
            return None
        return f"shape: expected sides from 1, and at most {_MAX_CONSTANT} values, got {list(self.shape)}"


@dataclass(frozen=True)
class Prompt:
    """How a model is told which persons to look at: boxes, as an input beside the image.

    Boxes are ``(N, 4)`` or ``(1, N, 4)``; with ``labels`` they are two corner points, ``(N, 2, 2)`` or
    ``(1, N, 2, 2)``, the way of SAM (arXiv:2304.02643). A model with room for K of them is asked for K at a time.

    Attributes:
        boxes: The input.
        labels: The input that says which corner a point is, 2 for the first and 3 for the second; None: boxes are no
            points.
        format: Corners, or centre and size, or first corner and size; of points, always x and y.
        units: Pixels of the input image, or fractions of it.
        encoder: File, beside the model, that takes the image; the model has inputs that are called like its outputs.
            None: the model takes the image itself.
        constants: Further inputs.
    """

    boxes: Name
    labels: Name | None = None
    format: Literal["xyxy", "yxyx", "cxcywh", "xywh"] = "xyxy"
    units: Literal["pixels", "fractions"] = "pixels"
    encoder: str | None = None
    constants: tuple[Constant, ...] = ()

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if self.labels is not None and self.format != "xyxy":
            return f"format: corner points have format 'xyxy', got {self.format!r}"
        return None


@dataclass(frozen=True)
class PromptedMasks:
    """The masks of N boxes, over the image or in the boxes: an output ``(N, h, w)`` or ``(N, C, h, w)``.

    Attributes:
        masks: The output, a batch of one in front or not.
        values: What a mask holds.
        covers: The part of the input that a mask covers: the box, or the whole ``image``.
        channel: Which of C; None: there is one, or ``scores`` say which.
        scores: Output ``(N, C)`` that says how good each of C proposals is; the best one is taken, and its score is
            that of the person. None: a person is scored by the mean probability inside the mask.
    """

    masks: Name
    values: Literal["logits", "probabilities"] = "probabilities"
    covers: Literal["box", "image"] = "image"
    channel: int | None = None
    scores: Name | None = None

    def problem(self) -> str | None:
        """What is wrong with the values; None: nothing."""
        if self.channel is not None and self.channel < 0:
            return f"channel: expected 0 or more, got {self.channel}"
        if self.channel is not None and self.scores is not None:
            return "channel: 'scores' say which of the masks is taken; leave one of them out"
        return None

    @property
    def outputs(self) -> tuple[Name, ...]:
        """The outputs that are read."""
        return (self.masks,) if self.scores is None else (self.masks, self.scores)


def _negative(person_class: int | None) -> str | None:
    if person_class is None or person_class >= 0:
        return None
    return f"person_class: expected 0 or more, got {person_class}"


@dataclass(frozen=True)
class Adapter:
    """The description of a model.

    Attributes:
        kind: What the model is for.
        input: The image that it takes.
        output: What its outputs mean.
        prompt: How it is told which persons to look at; of kind ``prompted``.
    """

    kind: Kind
    input: ImageInput
    output: PersonMap | Detections | PromptedMasks
    prompt: Prompt | None = None
