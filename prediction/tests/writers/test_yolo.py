import cv2
import numpy as np

from human_edge_prediction.writers.yolo import polygon


def filled(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.fillPoly(np.zeros(size, np.uint8), [outline.astype(np.int32)], [1]).astype(bool)


def test_parts_and_holes_are_one_polygon_by_the_even_odd_rule() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:30, 5:35] = True
    mask[12:22, 12:25] = False
    mask[10:20, 45:55] = True
    found = filled(polygon(mask), mask.shape)
    wrong = found != mask
    assert wrong.sum() < 25, "only the lines between the parts"
    assert not wrong[13:21, 14:20].any(), "the hole is there"


def test_nobody_and_a_single_pixel() -> None:
    mask = np.zeros((4, 4), bool)
    assert polygon(mask).shape == (0, 2)
    mask[1, 2] = True
    np.testing.assert_array_equal(polygon(mask), [[2, 1]] * 3)
