import numpy as np

from human_edge_prediction import Instances

WHOLE = np.array([[0, 0, 1, 1]], np.float32)


def test_a_mask_of_the_whole_image_ends_at_the_box() -> None:
    box = np.array([[0.25, 0, 0.5, 0.5]], np.float32)
    persons = Instances(box, np.array([0.3], np.float32), np.ones((1, 4, 4), np.float32), WHOLE)
    place, pixels, score = persons.mask(0, (8, 16))
    assert place == (slice(0, 4), slice(4, 8))
    assert pixels.all() and score == 1.0
    assert persons.scored((8, 16)).scores.tolist() == [1.0]
    assert persons.person_map((8, 16)).sum() == 16


def test_a_mask_is_enlarged_before_it_is_compared() -> None:
    """A straight edge between two values stays straight: of 0 and 1, half-way between their centres."""
    mask = np.array([[[1.0, 0.0], [1.0, 0.0]]], np.float32)
    persons = Instances(WHOLE, np.ones(1, np.float32), mask, WHOLE)
    _, pixels, _ = persons.mask(0, (64, 100))
    assert pixels[:, :50].all() and not pixels[:, 50:].any()
    slanted = np.array([[[1.0, 1.0], [1.0, 0.0]]], np.float32)
    _, pixels, _ = persons._replace(masks=slanted).mask(0, (64, 64))
    widths = pixels.sum(axis=1)
    assert len(set(widths.tolist())) > 12  # thresholded first, there would be two
