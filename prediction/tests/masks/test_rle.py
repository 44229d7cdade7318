"""That pycocotools reads it is tested in the full package, which has pycocotools."""

import numpy as np

from human_edge_prediction.masks.rle import encode, run_lengths


def test_runs_go_down_the_columns_and_start_with_background() -> None:
    mask = np.array([[1, 0], [1, 1]], bool)
    assert run_lengths(mask, (0, 0), (2, 2)).tolist() == [0, 2, 1, 1]
    # In an image of 3 x 4 the same mask has a row above and a column before it.
    assert run_lengths(mask, (1, 1), (3, 4)).tolist() == [4, 2, 2, 1, 3]


def test_what_fills_columns_is_one_run() -> None:
    assert run_lengths(np.ones((3, 2), bool), (0, 1), (3, 4)).tolist() == [3, 6, 3]
    assert run_lengths(np.zeros((3, 2), bool), (0, 1), (3, 4)).tolist() == [12]
    assert encode(np.ones((2, 2), bool), (0, 0), (2, 2)) == {"size": [2, 2], "counts": "04"}
