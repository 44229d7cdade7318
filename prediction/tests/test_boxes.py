from typing import Any

import numpy as np
import pytest

from human_edge_prediction import BoxError
from human_edge_prediction.boxes import check_boxes, fit_boxes, to_fractions, to_pixels

SIZE = (50, 200)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3, 4], r"expected \(N, 4\), got \(4,\)"),
        ([[1, 2, 3]], r"expected \(N, 4\), got \(1, 3\)"),
        ("boxes", "expected .* numbers, got something else"),
        ([[0, 0, 9, 9], [1, 2, float("nan"), 9]], r"box 1 \(1, 2, nan, 9\) is not finite"),
        ([[0, 0, float("inf"), 9]], "is not finite"),
        ([[9, 2, 5, 9]], r"box 0 \(9, 2, 5, 9\) has no area: .* x1 < x2 and y1 < y2"),
        ([[5, 2, 9, 2]], "has no area"),
        ([[1, 2, 3, 10**400]], r"expected \(N, 4\) numbers"),
        ([[200, 0, 230, 20]], "lies outside of the image, width 200, height 50"),
        ([[-9, 0, 0, 20]], "lies outside of the image"),
        ([[0.1, 0.1, 0.5, 0.9], [0, 0, 1, 1]], "looks like fractions of the image"),
    ],
)
def test_boxes_that_are_none(boxes: Any, message: str) -> None:
    with pytest.raises(BoxError, match=message) as raised:
        check_boxes(boxes, SIZE)
    assert "give x1, y1, x2, y2 in pixels of the image" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_boxes_are_cut_off_at_the_image_and_have_a_pixel_at_least() -> None:
    boxes = check_boxes([[-10, 10, 250, 40], [199.7, 10, 200, 60]], SIZE)
    assert fit_boxes(boxes, SIZE).tolist() == [[0, 10, 200, 40], [199, 10, 200, 50]]
    assert check_boxes([], SIZE).shape == (0, 4)


def test_pixels_and_fractions() -> None:
    fractions = to_fractions(np.array([[50, 25, 200, 50]], np.float32), SIZE)
    assert fractions.tolist() == [[0.25, 0.5, 1, 1]]
    assert to_pixels(fractions, SIZE).tolist() == [[50, 25, 200, 50]]
