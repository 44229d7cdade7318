"""The description of a model on the command line: a JSON file, single fields of it, or both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from human_edge_prediction.errors import SourceError
from human_edge_prediction.sources.given_boxes import read_json

ADAPTER_SUFFIX: Final = ".adapter.json"
"""A description beside a model: ``deeplab.tflite`` has ``deeplab.adapter.json``."""


def read_description(flag: str, given: Sequence[str] | None, model: str | None) -> Mapping[str, Any] | None:
    """What is said of a model; None: nothing is.

    Args:
        flag: That says it, without dashes.
        given: Files, and fields as ``output.values=logits``; what comes later counts. None: the file beside the model,
            if there is one.
        model: The model file.

    Raises:
        SourceError: A file cannot be read, or a field is neither.
    """
    if given is None:
        beside = None if model is None else Path(model).with_suffix(ADAPTER_SUFFIX)
        given = [] if beside is None or not beside.is_file() else [str(beside)]
    description: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if equals and not Path(one).exists():
            _set(description, name.split("."), _parse(value), f"--{flag} {one}")
        else:
            description = {**description, **_read(flag, Path(one))}
    return description or None


def _read(flag: str, path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except SourceError as error:
        raise SourceError(f"--{flag} {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"--{flag} {path}: expected fields kind, input and output, got {type(content).__name__}")
    return content


def _set(description: dict[str, Any], path: Sequence[str], value: Any, shown: str) -> None:
    for name in path[:-1]:
        description = description.setdefault(name, {})
        if not isinstance(description, dict):
            raise SourceError(f"{shown}: {name} has a value and no fields")
    description[path[-1]] = value


def _parse(text: str) -> Any:
    """A number, a list or the like, as JSON has them; else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
