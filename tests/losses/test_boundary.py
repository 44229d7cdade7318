import pytest
import torch
from torch import Tensor

from human_edge_detection.losses.boundary import border, border_band, signed_distance
from human_edge_detection.structures import IGNORE


def square(size: int = 9, margin: int = 2) -> Tensor:
    """A square of 5 x 5 in the middle of 9 x 9."""
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, margin : size - margin, margin : size - margin] = True
    return mask


def all_known(mask: Tensor) -> Tensor:
    return torch.ones_like(mask)


def distances(mask: Tensor, limit: int, known: Tensor | None = None) -> list[list[float]]:
    """In pixels, of the only mask."""
    found = signed_distance(mask, all_known(mask) if known is None else known, limit)[0]
    rows: list[list[float]] = found.where(found == IGNORE, found * limit).tolist()
    return rows


def test_signed_distance_of_a_square_by_hand() -> None:
    # From the left: two pixels outside (-2, -1), the square's columns at depth 1, 2, 3, 2, 1, and outside again.
    found = distances(square(), 8)
    assert found[4] == [-2, -1, 1, 2, 3, 2, 1, -1, -2]
    assert found[2] == [-2, -1, 1, 1, 1, 1, 1, -1, -2]


def test_signed_distance_is_cut_off_at_its_limit() -> None:
    assert distances(square(), 2)[4] == [-2, -1, 1, 2, 2, 2, 1, -1, -2]
    assert distances(torch.ones(1, 4, 4, dtype=torch.bool), 8) == [[8.0] * 4] * 4
    assert distances(torch.zeros(1, 4, 4, dtype=torch.bool), 8) == [[-8.0] * 4] * 4


def test_border_is_one_pixel_on_either_side() -> None:
    found = border(square(), all_known(square()))
    assert found[0, 4].tolist() == [0, 1, 1, 0, 0, 0, 1, 1, 0]
    assert found.sum() == 7 * 7 - 3 * 3
    assert not border(torch.ones(1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)).any()


def test_where_what_is_ignored_decides_there_is_no_border_and_no_distance() -> None:
    known = all_known(square())
    known[:, :, 6:] = False
    # The square's right columns are unknown, so its depth of 3 may be more, and column 5 may be inside or at a border.
    assert border(square(), known)[0, 4].tolist() == [0, 1, 1, 0, 0, IGNORE, IGNORE, IGNORE, IGNORE]
    assert distances(square(), 8, known)[4] == [-2, -1, 1, 2, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE]


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_those_that_any_value_of_what_is_ignored_would_give(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(4, 5, 5, generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2) > 0.5
    known = torch.rand(4, 20, 20, generator=generator) > 0.02
    for labels in (border, lambda mask, known: signed_distance(mask, known, 8)):
        every = all_known(mask)
        inside, outside = labels(mask | ~known, every), labels(mask & known, every)
        expected = inside.where((inside == outside) & known, float(IGNORE))
        assert torch.equal(labels(mask, known), expected)
        assert 0.05 < (expected == IGNORE).float().mean() < 0.9


def test_border_band_is_as_wide_as_asked() -> None:
    masks = torch.zeros(1, 5, 12, dtype=torch.uint8)
    masks[:, :, 6:] = 2
    for width in (1, 2, 3):
        columns = border_band(masks, width)[0, 2].nonzero().flatten().tolist()
        assert columns == list(range(6 - width, 6 + width))


def test_border_band_sees_every_change_of_class_and_no_edge_of_what_is_ignored() -> None:
    masks = torch.zeros(1, 3, 16, dtype=torch.uint8)
    masks[:, :, 4:8] = 1
    masks[:, :, 8:12] = IGNORE
    masks[:, :, 12:] = 2
    assert border_band(masks, 1)[0, 1].nonzero().flatten().tolist() == [3, 4]
    masks[:, :, 8:12] = 2
    assert border_band(masks, 1)[0, 1].nonzero().flatten().tolist() == [3, 4, 7, 8]
