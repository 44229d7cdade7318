import torch
from torch import Tensor

from human_edge_detection.losses.boundary import border, border_band, signed_distance
from human_edge_detection.structures import IGNORE


def square(size: int = 9, margin: int = 2) -> Tensor:
    """A square of 5 x 5 in the middle of 9 x 9."""
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, margin : size - margin, margin : size - margin] = 1.0
    return mask


def test_signed_distance_of_a_square_by_hand() -> None:
    # From the left: two pixels outside (-2, -1), the square's columns at depth 1, 2, 3, 2, 1, and outside again.
    distance = signed_distance(square(), limit=8)
    assert torch.equal(distance[0, 0, 4] * 8, torch.tensor([-2.0, -1.0, 1.0, 2.0, 3.0, 2.0, 1.0, -1.0, -2.0]))
    assert torch.equal(distance[0, 0, 2] * 8, torch.tensor([-2.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -2.0]))


def test_signed_distance_is_cut_off_at_its_limit() -> None:
    assert torch.equal(
        signed_distance(square(), limit=2)[0, 0, 4],
        torch.tensor([-1.0, -0.5, 0.5, 1.0, 1.0, 1.0, 0.5, -0.5, -1.0]),
    )
    assert torch.equal(signed_distance(torch.ones(1, 1, 4, 4), limit=8), torch.ones(1, 1, 4, 4))
    assert torch.equal(signed_distance(torch.zeros(1, 1, 4, 4), limit=8), -torch.ones(1, 1, 4, 4))


def test_border_is_one_pixel_on_either_side() -> None:
    found = border(square())
    assert torch.equal(found[0, 0, 4], torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]))
    assert found.sum() == 7 * 7 - 3 * 3
    assert not border(torch.ones(1, 1, 4, 4)).any()


def test_border_band_is_as_wide_as_asked() -> None:
    masks = torch.zeros(1, 5, 12, dtype=torch.uint8)
    masks[:, :, 6:] = 2
    for width in (1, 2, 3):
        columns = border_band(masks, width)[0, 2].nonzero().flatten().tolist()
        assert columns == list(range(6 - width, 6 + width))


def test_border_band_sees_every_change_of_class() -> None:
    masks = torch.zeros(1, 3, 12, dtype=torch.uint8)
    masks[:, :, 4:8] = 1
    masks[:, :, 8:] = IGNORE
    assert border_band(masks, 1)[0, 1].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0]
