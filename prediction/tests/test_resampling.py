import numpy as np
import pytest

from human_edge_prediction.resampling import paste_roi


def test_a_roi_on_the_pixel_grid_comes_back_as_it_is() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    roi = np.array([0.2, 0.3, 0.6, 0.6], dtype=np.float32)
    for linear in (True, False):
        (rows, columns), pasted = paste_roi(values, roi, (10, 10), linear=linear)
        assert (rows, columns) == (slice(3, 6), slice(2, 6))
        assert pasted.tolist() == values.tolist()


def test_what_lies_beyond_the_image_is_cut_off() -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    (rows, columns), pasted = paste_roi(values, np.array([-0.2, 0.8, 0.2, 1.2], np.float32), (10, 10), linear=False)
    assert (rows, columns) == (slice(8, 10), slice(0, 2))
    assert pasted.tolist() == values[:2, 2:].tolist()


@pytest.mark.parametrize("roi", [[1.5, 0.1, 1.9, 0.9], [0.21, 0.21, 0.22, 0.22]])
def test_a_roi_that_covers_no_pixel_gives_an_empty_part(roi: list[float]) -> None:
    (rows, columns), pasted = paste_roi(np.ones((4, 4), np.float32), np.array(roi, np.float32), (10, 10), linear=True)
    assert np.zeros((10, 10))[rows, columns].size == pasted.size == 0


def test_enlarging_keeps_the_border_in_place() -> None:
    values = np.zeros((8, 8), np.float32)
    values[:, 4:] = 1.0
    _, pasted = paste_roi(values, np.array([0, 0, 1, 1], np.float32), (80, 80), linear=True)
    assert (pasted > 0.5).sum() == 80 * 40
    assert pasted[:, -1].min() == 1.0


def test_a_map_is_enlarged_beyond_what_opencv_writes_at_once() -> None:
    values = np.array([[0.0, 1.0]], np.float32)
    place, pasted = paste_roi(values, np.array([0.0, 0.0, 1.0, 1.0]), (1, 70_000), linear=True)
    assert place == (slice(0, 1), slice(0, 70_000))
    ramp = np.clip((np.arange(70_000) + 0.5) / 35_000 - 0.5, 0, 1)
    np.testing.assert_allclose(pasted[0], ramp, atol=0.02)
