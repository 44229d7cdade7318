import numpy as np

from human_edge_prediction.masks.edges import dilated, smoothed


def test_a_mask_grows_by_a_disk_and_ends_at_the_image() -> None:
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = True
    place, grown = dilated((slice(1, 4), slice(6, 10)), mask, (12, 11), 2)
    assert place == (slice(0, 6), slice(4, 11))
    found = np.zeros((12, 11), bool)
    found[place] = grown
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 3, 4, 8)
    assert not found[3, 8], "corners are round"


def test_steps_of_a_cell_are_rounded_off() -> None:
    """A staircase of 8 pixels becomes nearer to the line that it stands for."""
    cells = np.tril(np.ones((8, 8), np.float32))
    steps = np.kron(cells, np.ones((8, 8), np.float32))
    rows, columns = np.indices(steps.shape)
    line = rows + 4 > columns
    before, after = ((values > 0.5) != line for values in (steps, smoothed(steps, (8.0, 8.0))))
    assert after[16:48, 16:48].sum() < 0.5 * before[16:48, 16:48].sum()
    assert smoothed(np.zeros((0, 5), np.float32), (8.0, 8.0)).shape == (0, 5)


def test_a_mask_grows_by_many_pixels_without_end_and_nothing_from_nothing() -> None:
    mask = np.zeros((600, 600), bool)
    whole = (slice(0, 600), slice(0, 600))
    assert not dilated(whole, mask, (600, 600), 1000)[1].any()
    mask[300, 300] = True
    assert dilated(whole, mask, (600, 600), 1000)[1].all()
    assert abs(dilated(whole, mask, (600, 600), 100)[1].sum() - np.pi * 100**2) < 200
