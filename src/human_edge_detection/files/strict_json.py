"""JSON as the standard has it, written and read: no NaN, no infinity, nothing that a reader could be hurt with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from human_edge_detection.files.read import read_regular_file

Kept = TypeVar("Kept")
MAX_BYTES: Final = 1 << 24
"""Of a file that says something of a run; the longest have some kilobytes."""
_NUL: Final = b"\\u0000"
"""As JSON writes it: in no text of ours, and the end of a path for the system."""


def read_json(kind: TypeAdapter[Kept], path: Path, *, max_bytes: int = MAX_BYTES) -> Kept:
    """What the regular file ``path`` holds, as JSON of this ``kind``, strictly; not deeper than 200 levels.

    Raises:
        OSError: It is missing, no regular file (a folder, a pipe, a device), larger than ``max_bytes``, or unreadable.
        ValueError: It is not UTF-8, not JSON, or of another kind (``pydantic.ValidationError``, which says where).
    """
    content = read_regular_file(path, max_bytes=max_bytes)
    if _NUL in content:
        raise ValueError("a text with a NUL character")
    return kind.validate_json(content, strict=True)


def strict_json(data: Any, *, indent: int | None = None) -> str:
    """``data`` as JSON, null in place of each number that is not finite."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:  # the rare case, so that the common one costs nothing
        return json.dumps(_finite(data), indent=indent, allow_nan=False)


def count_not_finite(data: Any) -> int:
    """How many numbers in ``data``, plain values as JSON has them, are not finite."""
    if isinstance(data, dict):
        return sum(map(count_not_finite, data.values()))
    if isinstance(data, (list, tuple)):
        return sum(map(count_not_finite, data))
    return int(isinstance(data, float) and not math.isfinite(data))


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
