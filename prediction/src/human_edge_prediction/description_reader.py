"""Reads the description of a model from plain data."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from human_edge_prediction.description import Adapter, Detections, ImageInput, Kind, PersonMap, Prompt, PromptedMasks
from human_edge_prediction.errors import AdapterError

EXPORTED: Final = "exported"
"""Kind of a description that says only that the file is an export of ours, for one that has lost its metadata."""
_Described = TypeVar("_Described")
_OUTPUTS: Final[Mapping[Kind, type[PersonMap] | type[Detections] | type[PromptedMasks]]] = {
    "person_map": PersonMap,
    "instances": Detections,
    "prompted": PromptedMasks,
    "boxes": Detections,
}
"""Kind -> what is said of the outputs."""


def read_adapter(data: Mapping[str, Any]) -> Adapter:
    """The description of a model from plain data, as JSON or YAML give it; see the top of this module.

    Raises:
        AdapterError: A field is unknown, missing or wrong; the message names it.
    """
    kind = kind_of(data)
    if kind == EXPORTED:
        raise AdapterError(f"adapter kind: {EXPORTED!r} is for a file that lost its metadata, and describes nothing")
    expected = ("kind", "input", "output", "prompt") if kind == "prompted" else ("kind", "input", "output")
    _check_names(data, expected, "adapter")
    image = _section(ImageInput, data.get("input", {}), "input")
    output = _section(_OUTPUTS[kind], data.get("output", {}), "output")
    if isinstance(output, Detections) and (output.masks is None) != (kind == "boxes"):
        both = "'masks' belongs to kind 'instances'" if kind == "boxes" else "kind 'instances' needs 'masks'"
        raise AdapterError(f"adapter output: {both}; change one of them")
    prompt = _section(Prompt, data.get("prompt", {}), "prompt") if kind == "prompted" else None
    return Adapter(kind, image, output, prompt)


def kind_of(data: Mapping[str, Any]) -> Any:
    """The kind in a description: one of :data:`Kind`, or :data:`EXPORTED`.

    Raises:
        AdapterError: There is none, or it is not known.
    """
    if not isinstance(data, Mapping):
        raise AdapterError(f"adapter: expected fields kind, input and output, got {_short(data)}")
    if "kind" not in data:
        raise AdapterError(f"adapter: kind is missing; expected one of {', '.join(map(repr, get_args(Kind)))}")
    return _value(Literal[(*get_args(Kind), EXPORTED)], data["kind"], "kind")


def read_exported(data: Mapping[str, Any], *, scores: bool) -> float:
    """Who scores less is left out by an export of ours that has lost its metadata.

    Args:
        data: A description of kind :data:`EXPORTED`.
        scores: Whether the model finds persons, and gives their scores.

    Raises:
        AdapterError: The score is missing, is not in [0, 1], or there is none to speak of.
    """
    _check_names(data, ("kind", "min_score") if scores else ("kind",), "adapter")
    if not scores:
        return 0.0
    if "min_score" not in data:
        raise AdapterError("adapter: min_score is missing; give the one that the model was exported with")
    score: float = _value(float, data["min_score"], "min_score")
    if not 0.0 <= score <= 1.0:
        raise AdapterError(f"adapter min_score: expected 0 to 1, got {score}")
    return score


def complete(data: Mapping[str, Any], shape: tuple[int | None, ...], dtype: str) -> dict[str, Any]:
    """``data`` with what the model file itself says of its input image, where ``data`` do not.

    Args:
        data: A description.
        shape: Of the input, None for a side that is free.
        dtype: Of the input.
    """
    given = data.get("input", {})
    if not isinstance(given, Mapping) or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        return dict(data)
    layout = given.get("layout", "NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW")
    known: dict[str, Any] = {"layout": layout, "dtype": dtype}
    size = shape[1:3] if layout == "NHWC" else shape[2:]
    if None not in size:
        known["size"] = list(size)
    return {**data, "input": {**known, **given}}


def _section(kind: type[_Described], data: Any, path: str) -> _Described:
    """An object of the dataclass ``kind`` with the fields in ``data``."""
    if not isinstance(data, Mapping):
        raise AdapterError(f"adapter {path}: expected fields, got {_short(data)}")
    assert is_dataclass(kind)
    known = {field.name: field for field in fields(kind)}
    _check_names(data, known, f"adapter {path}")
    types = get_type_hints(kind)
    missing = [name for name, field in known.items() if name not in data and field.default is MISSING]
    if missing:
        choices = get_args(types[missing[0]]) if get_origin(types[missing[0]]) is Literal else ()
        expected = f"; expected one of {', '.join(map(repr, choices))}" if choices else ""
        raise AdapterError(f"adapter {path}: {missing[0]} is missing{expected}")
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
    if origin is tuple and choices[-1] is Ellipsis:
        if isinstance(value, list | tuple):
            return tuple(_value(choices[0], one, f"{path}[{number}]") for number, one in enumerate(value))
        raise AdapterError(f"adapter {path}: expected a list, got {_short(value)}")
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
