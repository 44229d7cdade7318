from typing import Any

import pytest

from human_edge_prediction.description import Detections, PersonMap
from human_edge_prediction.description_reader import read_adapter
from human_edge_prediction.errors import AdapterError, PredictionError

PERSON_MAP: dict[str, Any] = {
    "kind": "person_map",
    "input": {"size": [513, 257], "layout": "NHWC", "dtype": "uint8", "scale": 1},
    "output": {"values": "classes", "person_class": 15},
}
INSTANCES: dict[str, Any] = {
    "kind": "instances",
    "input": {"size": [640, 640], "fit": "letterbox", "mean": [0.5, 0.5, 0.5]},
    "output": {
        "boxes": {"name": "output0", "columns": [0, 4], "format": "cxcywh"},
        "scores": {"name": "output0", "columns": [4, 5]},
        "masks": {"name": 1, "values": "logits", "covers": "box"},
    },
}

PROMPTED: dict[str, Any] = {
    "kind": "prompted",
    "input": {"size": [1024, 1024]},
    "prompt": {"boxes": "points", "labels": "labels"},
    "output": {"masks": "masks", "values": "logits", "scores": "quality"},
}


def test_plain_data_become_a_description() -> None:
    adapter = read_adapter(PERSON_MAP)
    assert (adapter.kind, adapter.input.size, adapter.input.scale) == ("person_map", (513, 257), 1.0)
    assert adapter.output == PersonMap(values="classes", person_class=15)
    adapter = read_adapter(INSTANCES)
    assert isinstance(adapter.output, Detections)
    assert adapter.output.boxes.columns == (0, 4)
    assert adapter.output.masks is not None
    assert (adapter.output.masks.name, adapter.output.masks.covers) == (1, "box")
    assert adapter.input.mean == (0.5, 0.5, 0.5)


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``data`` with the field at the dotted ``path`` set, or without it for ``value`` ..."""
    first, _, rest = path.partition(".")
    if rest:
        return {**data, first: changed(data[first], rest, value)}
    return {name: one for name, one in {**data, first: value}.items() if one is not ...}


@pytest.mark.parametrize(
    ("data", "path", "value", "message"),
    [
        (PERSON_MAP, "kind", "mask", "adapter kind: expected one of 'person_map', 'instances', 'prompted', 'boxes',"),
        (PERSON_MAP, "input", ..., "adapter input: size is missing"),
        (PERSON_MAP, "kind", ..., "adapter: kind is missing; expected one of 'person_map'"),
        (PERSON_MAP, "output", ..., "adapter output: values is missing; expected one of 'classes', 'logits'"),
        (PERSON_MAP, "input.scale", ..., "adapter input.scale: expected what makes uint8 values of a pixel"),
        (PERSON_MAP, "prompt", {}, "adapter: unknown field 'prompt'"),
        (PROMPTED, "prompt", ..., "adapter prompt: boxes is missing"),
        (PROMPTED, "prompt.format", "xywh", "adapter prompt.format: corner points have format 'xyxy'"),
        (PROMPTED, "prompt.constants", 3, "adapter prompt.constants: expected a list, got 3"),
        (PROMPTED, "prompt.constants", [{"name": "x"}], "adapter prompt.constants[0]: shape is missing"),
        (PROMPTED, "prompt.constants", [{"name": "x", "shape": [9999, 9999]}], "at most 16777216 values"),
        (PROMPTED, "output.channel", 1, "adapter output.channel: 'scores' say which of the masks is taken"),
        (PERSON_MAP, "input.size", ..., "adapter input: size is missing"),
        (PERSON_MAP, "input.size", [513], "adapter input.size: expected a list of 2 numbers, got [513]"),
        (PERSON_MAP, "input.size", [0, 513], "adapter input.size: expected height and width from 1 to 16384"),
        (PERSON_MAP, "input.size", [513.0, 513], "adapter input.size: expected a whole number, got 513.0"),
        (PERSON_MAP, "input.layuot", "NHWC", "adapter input: unknown field 'layuot' (did you mean 'layout'?)"),
        (PERSON_MAP, "input.std", [1, 1, 0], "adapter input.std: expected no 0"),
        (PERSON_MAP, "input.scale", 0, "adapter input.scale: expected no 0"),
        (PERSON_MAP, "output.person_class", -1, "adapter output.person_class: expected 0 or more, got -1"),
        (INSTANCES, "output.person_class", -1, "adapter output.person_class: expected 0 or more, got -1"),
        (PERSON_MAP, "input.scale", float("nan"), "adapter input.scale: expected a number, got nan"),
        (PERSON_MAP, "input.scale", True, "adapter input.scale: expected a number, got True"),
        (PERSON_MAP, "output.person_class", ..., "adapter output.person_class: 'values' are classes"),
        (PERSON_MAP, "output.name", None, "adapter output.name: expected"),
        (PERSON_MAP, "output", [], "adapter output: expected fields, got []"),
        (INSTANCES, "kind", "boxes", "'masks' belongs to kind 'instances'"),
        (INSTANCES, "output.masks", ..., "kind 'instances' needs 'masks'"),
        (INSTANCES, "output.boxes.columns", [4, 4], "adapter output.boxes.columns: expected [first, behind the last]"),
        (INSTANCES, "output.classes", {"name": 0}, "adapter output.person_class: there are classes"),
    ],
)
def test_a_mistake_is_named_in_one_line(data: dict[str, Any], path: str, value: Any, message: str) -> None:
    with pytest.raises(AdapterError) as caught:
        read_adapter(changed(data, path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(PredictionError, match="expected fields kind, input and output"):
        read_adapter([1])  # type: ignore[arg-type]
