"""Any change of a valid annotation file gives annotations that can be used, or one line that says what is wrong."""

import copy
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.annotations.polygons_and_rle import decode_mask
from human_edge_detection.errors import DataError

HEIGHT, WIDTH = 20, 30
CROWD = {"size": [HEIGHT, WIDTH], "counts": [100, 50, 450]}
PACKED = {"size": [HEIGHT, WIDTH], "counts": "T3l1h="}
SQUARE = [[4, 4, 14, 4, 14, 14.5, 4, 14]]
VALID: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in (1, 2, 3)],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [4, 4, 10, 10], "segmentation": SQUARE},
        {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": CROWD},
        {"id": 3, "image_id": 2, "category_id": 1, "iscrowd": 0, "bbox": [5, 0, 3, 20], "segmentation": PACKED},
        {"id": 4, "image_id": 3, "category_id": 1, "iscrowd": 0, "segmentation": SQUARE * 2},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
}
NUMBERS = [
    0,
    1,
    2,
    -1,
    3.5,
    600,
    1e308,
    -1e308,
    10**400,
    2**31,
    2**63,
    float("nan"),
    float("inf"),
    float("-inf"),
    1e-320,
]
SCALARS = st.sampled_from(
    [None, True, False, "", "person", "1.png", "\0", "\ud800", "../x", "T3l1h=", "ooo0", *NUMBERS]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=6
)
OPERATIONS = st.sampled_from(["replace", "drop", "double", "insert", "copy", "wrap"])

Place = tuple[Any, Any]
"""A list or object, and an index or key of it."""


def places(value: Any) -> Iterator[Place]:
    """Everything inside ``value`` that can be changed."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def mutate(data: st.DataObject, content: dict[str, Any]) -> None:
    found = list(places(content))
    if not found:
        return
    inside, key = data.draw(st.sampled_from(range(len(found))).map(found.__getitem__))
    operation = data.draw(OPERATIONS)
    if operation == "drop":
        del inside[key]
    elif operation == "double" and isinstance(inside, list):
        inside.insert(key, copy.deepcopy(inside[key]))
    elif operation == "insert" and isinstance(inside, list):
        inside.insert(key, data.draw(VALUES))
    elif operation == "copy":
        source, other = data.draw(st.sampled_from(range(len(found))).map(found.__getitem__))
        if other in source if isinstance(source, dict) else other < len(source):
            inside[key] = copy.deepcopy(source[other])
    elif operation == "wrap":
        inside[key] = [inside[key]]
    else:
        inside[key] = data.draw(VALUES)


class Counted(logging.Handler):
    """Counts what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz")
    (root / "images").mkdir()
    for image in VALID["images"]:
        (root / "images" / image["file_name"]).touch()
    return root


def outcome(folder: Path, content: bytes, *, skip_bad: bool) -> str:
    """``read`` or ``refused``; anything else is an error."""
    (folder / "people.json").write_bytes(content)
    counted, logger = Counted(), logging.getLogger("human_edge_detection")
    logger.addHandler(counted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools and numpy, between themselves
            people = read_annotations(folder / "people.json", folder / "images", skip_bad=skip_bad)
            for record in people.images:
                for person in (*record.persons, *record.crowds):
                    mask = decode_mask(person.segmentation, record.height, record.width)
                    assert mask.shape == (record.height, record.width)
                    assert mask.any()
                    x1, y1, x2, y2 = person.box
                    assert 0 <= x1 < x2 <= record.width
                    assert 0 <= y1 < y2 <= record.height
    except DataError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 1000
        return "refused"
    finally:
        logger.removeHandler(counted)
    assert counted.count <= 3
    return "read"


def test_the_file_that_is_changed_is_valid(folder: Path) -> None:
    assert outcome(folder, json.dumps(VALID).encode(), skip_bad=False) == "read"


MANY = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_changed_annotations_are_read_or_refused(folder: Path) -> None:
    seen: Counter[str] = Counter()

    @settings(MANY, max_examples=400)
    @given(data=st.data())
    def changed(data: st.DataObject) -> None:
        content = copy.deepcopy(VALID)
        for _ in range(data.draw(st.sampled_from([1, 1, 2]))):
            mutate(data, content)
        encoded = json.dumps(content).encode()
        strict, tolerant = (outcome(folder, encoded, skip_bad=skip_bad) for skip_bad in (False, True))
        assert tolerant == "read" or strict == "refused", "skip_bad refuses what is good"
        seen.update([strict, f"{tolerant} with skip_bad"])

    changed()
    assert seen["read"] >= 20
    assert seen["refused"] >= 150
    assert seen["read with skip_bad"] >= seen["read"] + 50


@settings(MANY, max_examples=200)
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(folder: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(VALID).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, max(len(content) - 1, 0)))
        length = data.draw(st.sampled_from([0, 1, 5, 100]))
        content[position : position + length] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"1e400", b"{", b","])
        )
    outcome(folder, bytes(content), skip_bad=False)
