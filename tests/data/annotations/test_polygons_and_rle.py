import numpy as np
import pytest
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.polygons_and_rle import check_segmentation, decode_mask, mask_area_and_box
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
