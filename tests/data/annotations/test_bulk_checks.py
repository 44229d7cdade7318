"""What is proven of polygons without drawing them holds when pycocotools draws them."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from human_edge_detection.data.annotations.bulk_checks import PolygonColumns, prove_boxes
from human_edge_detection.data.annotations.polygons_and_rle import check_segmentation, mask_area_and_box
from human_edge_detection.errors import DataError

MIN_IOU = 0.25
Array = np.ndarray[Any, Any]


class Drawn(NamedTuple):
    polygons: list[list[float]]
    size: tuple[int, int]
    box: list[float]


def star(rng: np.random.Generator, size: tuple[int, int], scale: float = 1.0) -> Array:
    height, width = size
    angles = 2 * np.pi * np.sort(rng.random(int(rng.integers(4, 40))))
    radius = scale * rng.uniform(0.1, 0.5) * np.abs(1 + 0.4 * np.sin(3 * angles) + rng.normal(0, 0.1, len(angles)))
    x, y = rng.uniform(0, width) + width / 2 * radius * np.cos(angles), height * (0.5 + radius * np.sin(angles))
    return np.stack([x.clip(0, width), y.clip(0, height)], axis=1)


def twisted(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Something that pycocotools fills in part, elsewhere, or not at all."""
    height, width = size
    kind = rng.integers(7)
    if kind == 0:  # twice round: each pixel is crossed an even number of times
        return np.tile(star(rng, size), (2, 1))
    if kind == 1:  # out and back on the same line
        line = rng.uniform(0, [width, height], (5, 2))
        return np.concatenate([line, line[::-1]])
    if kind == 2:  # a small body with a long spike without any width
        body = star(rng, size, scale=0.1)
        return np.concatenate([body, rng.uniform(0, [width, height], (1, 2)), body[-1:]])
    if kind == 3:
        return rng.uniform(0, [width, height], (int(rng.integers(3, 12)), 2))
    if kind == 4:  # outside, or half of it
        shifted: Array = star(rng, size) + rng.choice([-0.9, -0.5, 0.5, 0.9], 2) * [width, height]
        return shifted
    if kind == 5:  # points on the fifths of a pixel where pycocotools rounds
        return np.round(star(rng, size) * 10) / 10
    return star(rng, size, scale=0.02)


def draw(rng: np.random.Generator) -> Drawn:
    size = (int(rng.integers(1, 120)), int(rng.integers(1, 120)))
    shapes = [(star if rng.random() < 0.3 else twisted)(rng, size) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    polygons = [np.round(shape, int(rng.integers(0, 4))).ravel().tolist() for shape in shapes]
    points = np.concatenate(shapes)
    low, high = points.min(axis=0), points.max(axis=0)
    corners = np.concatenate([low, high]) + rng.choice([0, 0, 0.2, 1]) * rng.normal(0, 1, 4) * np.tile(high - low, 2)
    corners = np.concatenate([np.minimum(corners[:2], corners[2:]), np.maximum(corners[:2], corners[2:])])
    return Drawn(polygons, size, np.clip(corners, 0, [size[1], size[0]] * 2).tolist())


def outlines_of(drawn: list[Drawn]) -> tuple[PolygonColumns, Array]:
    polygons = [polygon for one in drawn for polygon in one.polygons]
    outlines = PolygonColumns(
        np.array([value for polygon in polygons for value in polygon], np.float64).reshape(-1, 2),
        np.array([len(polygon) // 2 for polygon in polygons], np.int64),
        np.array([len(one.polygons) for one in drawn], np.int64),
        np.array([one.size for one in drawn], np.int32),
    )
    return outlines, np.array([one.box for one in drawn], np.float64).reshape(-1, 4)


def iou(a: Array, b: Array) -> float:
    inter = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(inter / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inter))


def is_good(one: Drawn) -> bool:
    try:
        check_segmentation(one.polygons, *one.size)
    except DataError:
        return False
    area, box = mask_area_and_box(one.polygons, *one.size)
    given = np.array(one.box)
    return area > 0 and bool((given[2:] > given[:2]).all()) and iou(given, np.array(box)) >= MIN_IOU


@pytest.mark.parametrize("seed", range(4))
def test_what_is_proven_is_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [draw(rng) for _ in range(3000)]
    proven = prove_boxes(*outlines_of(drawn), min_iou=MIN_IOU)
    good = np.array([is_good(one) for one in drawn])
    assert 300 < proven.sum() < good.sum() < 2800
    assert not (proven & ~good).any(), [drawn[number] for number in np.flatnonzero(proven & ~good)[:3]]


def test_most_people_are_proven() -> None:
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(500):
        points = star(rng, (480, 640))
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        drawn.append(Drawn([points.round(2).ravel().tolist()], (480, 640), box.tolist()))
    assert prove_boxes(*outlines_of(drawn), min_iou=MIN_IOU).mean() > 0.9


SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
BOX = [10.0, 10.0, 30.0, 30.0]
NAN = float("nan")


@pytest.mark.parametrize(
    ("polygons", "size", "box"),
    [
        ([], (40, 40), BOX),
        ([SQUARE], (40, 40), [NAN] * 4),
        ([SQUARE], (40, 40), [10, 10, 10, 30]),
        ([SQUARE], (40, 40), [31, 31, 40, 40]),
        ([SQUARE, [*SQUARE[:-1], NAN]], (40, 40), BOX),
        ([SQUARE, [*SQUARE[:-1], float("inf")]], (40, 40), BOX),
        ([SQUARE, [*SQUARE[:-1], 1e308]], (40, 40), BOX),
        ([SQUARE, [*SQUARE[:-1], 81.0]], (40, 40), BOX),
        ([SQUARE * 5000], (2000, 60_000), BOX),
    ],
    ids=["none", "no box", "empty box", "box elsewhere", "NaN", "infinite", "huge", "far away", "too long perhaps"],
)
@pytest.mark.filterwarnings("error")
def test_what_must_be_looked_at_is_not_proven(
    polygons: list[list[float]], size: tuple[int, int], box: list[float]
) -> None:
    fine = Drawn([SQUARE], (40, 40), BOX)
    assert prove_boxes(*outlines_of([fine, Drawn(polygons, size, box), fine]), min_iou=MIN_IOU).tolist() == [
        True,
        False,
        True,
    ]
    assert prove_boxes(*outlines_of([Drawn(polygons, size, box)]), min_iou=MIN_IOU).tolist() == [False]
