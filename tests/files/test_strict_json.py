"""JSON that every reader takes."""

import json
import math

import pytest

from human_edge_detection.files.strict_json import count_not_finite, strict_json


def refuse(word: str) -> None:
    raise AssertionError(word)


def test_what_is_finite_is_as_python_writes_it() -> None:
    data = {"a": [1, 2.5, (3,)], "b": None, "c": "NaN"}
    assert strict_json(data) == json.dumps(data)
    assert strict_json(data, indent=2) == json.dumps(data, indent=2)
    assert count_not_finite(data) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_at_any_depth(value: float) -> None:
    data = {"a": [value, {"b": (1.0, value)}], "c": value}
    assert json.loads(strict_json(data), parse_constant=refuse) == {"a": [None, {"b": [1.0, None]}], "c": None}
    assert count_not_finite(data) == 3
