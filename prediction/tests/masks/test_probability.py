import numpy as np
import pytest

from human_edge_prediction.masks.probability import mask_of

PLACE = (slice(3, 5), slice(0, 2))


def test_the_score_is_the_mean_probability_of_the_pixels() -> None:
    place, pixels, score = mask_of(PLACE, np.array([[0.9, 0.5], [0.7, 0.1]], np.float32))
    assert place == PLACE
    assert pixels.tolist() == [[True, False], [True, False]]
    assert score == pytest.approx(0.8)


def test_nobody_scores_nothing() -> None:
    assert mask_of(PLACE, np.zeros((2, 2), np.float32)).score == 0.0
    assert mask_of(PLACE, np.zeros((0, 2), np.float32)).score == 0.0
