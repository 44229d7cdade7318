"""JSON as the standard has it: NaN and infinity, which Python would write and other readers refuse, become null."""

from __future__ import annotations

import json
import math
from typing import Any


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
