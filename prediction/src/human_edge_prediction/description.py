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
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from human_edge_prediction.errors import AdapterError

Kind = Literal["person_map", "instances", "boxes"]
Layout = Literal["NCHW", "NHWC"]
Name = str | int
"""Name of an input or an output of a model, or its position."""
_Described = TypeVar("_Described")
_MAX_SIDE_PX: Final = 16_384


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
    """

    kind: Kind
    input: ImageInput
    output: PersonMap | Detections


def read_adapter(data: Mapping[str, Any]) -> Adapter:
    """The description of a model from plain data, as JSON or YAML give it; see the top of this module.

    Raises:
        AdapterError: A field is unknown, missing or wrong; the message names it.
    """
    if not isinstance(data, Mapping):
        raise AdapterError(f"adapter: expected fields kind, input and output, got {_short(data)}")
    _check_names(data, ("kind", "input", "output"), "adapter")
    kind = _value(Kind, _of(data, "kind"), "kind")
    image = _section(ImageInput, _of(data, "input"), "input")
    meaning = _of(data, "output")
    output: PersonMap | Detections
    output = _section(PersonMap, meaning, "output") if kind == "person_map" else _section(Detections, meaning, "output")
    if isinstance(output, Detections) and (output.masks is None) != (kind == "boxes"):
        both = "'masks' belongs to kind 'instances'" if kind == "boxes" else "kind 'instances' needs 'masks'"
        raise AdapterError(f"adapter output: {both}; change one of them")
    return Adapter(kind, image, output)


def _of(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise AdapterError(f"adapter: {name} is missing; expected the fields kind, input and output")
    return data[name]


def _section(kind: type[_Described], data: Any, path: str) -> _Described:
    """An object of the dataclass ``kind`` with the fields in ``data``."""
    if not isinstance(data, Mapping):
        raise AdapterError(f"adapter {path}: expected fields, got {_short(data)}")
    assert is_dataclass(kind)
    known = {field.name: field for field in fields(kind)}
    _check_names(data, known, f"adapter {path}")
    missing = [name for name, field in known.items() if name not in data and field.default is MISSING]
    if missing:
        raise AdapterError(f"adapter {path}: {missing[0]} is missing")
    types = get_type_hints(kind)
    made = kind(**{name: _value(types[name], value, f"{path}.{name}") for name, value in data.items()})
    problem = made.problem()  # type: ignore[attr-defined] # every section has it
    if problem is not None:
        raise AdapterError(f"adapter {path}.{problem}")
    return made


def _value(kind: Any, value: Any, path: str) -> Any:
    """``value`` as the type ``kind`` of a field."""
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _section(kind, value, path)
    origin, choices = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value in choices:
            return value
        raise AdapterError(f"adapter {path}: expected one of {', '.join(map(repr, choices))}, got {_short(value)}")
    if origin is tuple:
        if isinstance(value, list | tuple) and len(value) == len(choices):
            return tuple(_value(choice, one, path) for choice, one in zip(choices, value, strict=True))
        raise AdapterError(f"adapter {path}: expected a list of {len(choices)} numbers, got {_short(value)}")
    if origin in (Union, UnionType):
        if value is None and type(None) in choices:
            return None
        kinds = [choice for choice in choices if choice is not type(None)]
        fitting = [choice for choice in kinds if not isinstance(choice, type) or isinstance(value, choice)]
        return _value((fitting or kinds)[0], value, path)
    return _number_or_text(kind, value, path)


def _number_or_text(kind: type, value: Any, path: str) -> Any:
    given = float(value) if kind is float and isinstance(value, int) and not isinstance(value, bool) else value
    fits = isinstance(given, kind) and not isinstance(given, bool)
    if fits and not (isinstance(given, float) and not math.isfinite(given)):
        return given
    wanted = {int: "a whole number", float: "a number", str: "a text"}[kind]
    raise AdapterError(f"adapter {path}: expected {wanted}, got {_short(value)}")


def _check_names(data: Mapping[str, Any], known: Any, path: str) -> None:
    for name in data:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise AdapterError(f"{path}: unknown field {name!r} ({hint})")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
