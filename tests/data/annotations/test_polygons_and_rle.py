import numpy as np
import pytest
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.polygons_and_rle import (
    check_segmentation,
    decode_inside_box,
    decode_mask,
    mask_area_and_box,
)
from human_edge_detection.errors import DataError


def test_compressed_run_lengths_survive_the_check_and_decode():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = (rng.random((37, 53)) < rng.random()).astype(np.uint8)
        packed = coco_mask.encode(np.asfortranarray(mask))
        rle = check_segmentation({"size": [37, 53], "counts": packed["counts"].decode()}, 37, 53)
        np.testing.assert_array_equal(decode_mask(rle, 37, 53), mask)
        assert mask_area_and_box(rle, 37, 53)[0] == mask.sum()


def test_compressed_run_lengths_that_do_not_add_up_are_refused():
    packed = coco_mask.encode(np.asfortranarray(np.eye(20, dtype=np.uint8)))["counts"].decode()
    with pytest.raises(DataError, match="RLE counts"):
        check_segmentation({"size": [20, 20], "counts": packed[:-3]}, 20, 20)
    with pytest.raises(DataError, match="add up to 400 pixels, expected 20 x 30"):
        check_segmentation({"size": [20, 30], "counts": packed}, 20, 30)


def test_a_mask_inside_its_box_is_the_whole_mask_without_what_is_empty():
    rng = np.random.default_rng(0)
    for number in range(60):
        top, left = rng.integers(0, 30, 2)
        points = (rng.random((7, 2)) * (60, 40) - (10, 5)).round(2).reshape(-1).tolist()
        mask = np.zeros((37, 53), np.uint8)
        mask[top : top + 8, left : left + 20] = rng.random(mask[top : top + 8, left : left + 20].shape) < 0.5
        packed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
        segmentation = [points] if number % 2 else {"size": [37, 53], "counts": packed}
        whole, placed = decode_mask(segmentation, 37, 53), decode_inside_box(segmentation, 37, 53)
        plane = np.zeros((37, 53), np.uint8)
        placed.add_to(plane)
        np.testing.assert_array_equal(plane, whole)
        assert placed.mask.sum() == whole.sum()
        for rows, columns in ((slice(0, 37), slice(0, 53)), (slice(10, 20), slice(5, 9)), (slice(36, 37), slice(0, 1))):
            np.testing.assert_array_equal(placed.within(rows, columns), whole[rows, columns])
    assert decode_inside_box([], 37, 53).within(slice(0, 3), slice(1, 3)).tolist() == [[0, 0]] * 3
