"""Polygons around run-length encoding."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.rle_to_polygons import trace


def encoded(mask):
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def area(polygons):
    """By the shoelace formula; holes have the opposite orientation, so they are subtracted."""
    total = 0.0
    for polygon in polygons:
        x, y = polygon.T
        total += 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    return abs(total)


def test_a_rectangle_has_corners_at_the_middle_of_each_side_of_its_border():
    mask = np.zeros((5, 6))
    mask[1:3, 2:4] = 1
    (polygon,) = trace(encoded(mask))
    expected = {(2.5, 1), (3.5, 1), (4, 1.5), (4, 2.5), (3.5, 3), (2.5, 3), (2, 2.5), (2, 1.5)}
    assert set(map(tuple, polygon.tolist())) == expected
    assert len(polygon) == len(expected)


def test_a_single_pixel_is_a_diamond_around_its_centre():
    mask = np.zeros((4, 4))
    mask[2, 1] = 1
    (polygon,) = trace(encoded(mask))
    assert polygon.mean(axis=0).tolist() == [1.5, 2.5]
    assert area([polygon]) == 0.5


def test_holes_and_separate_parts_have_polygons_of_their_own():
    mask = np.zeros((12, 20))
    mask[1:9, 1:9] = 1
    mask[3:6, 3:6] = 0
    mask[4:8, 12:18] = 1
    polygons = trace(encoded(mask))
    assert len(polygons) == 3
    # Each border loses or gains an eighth of a pixel at each of its four corners.
    assert area(polygons) == pytest.approx(mask.sum(), abs=3 * 4 / 8)


def test_nothing_has_no_polygon():
    assert trace(encoded(np.zeros((3, 4)))) == []


def test_a_mask_that_fills_the_image_ends_at_its_border():
    (polygon,) = trace(encoded(np.ones((4, 7))))
    assert polygon.min(axis=0).tolist() == [0, 0]
    assert polygon.max(axis=0).tolist() == [7, 4]
