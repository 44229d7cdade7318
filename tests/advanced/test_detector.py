import pytest
import torch
from torch import Tensor

from human_edge_detection.advanced.detector import Detector, find_persons


def maps(*centres: tuple[int, int, float], size: tuple[int, int] = (6, 8)) -> Tensor:
    """Logits of one image: -6 everywhere but at ``centres``, row, column and logit."""
    logits = torch.full((1, 1, *size), -6.0)
    for row, column, logit in centres:
        logits[0, 0, row, column] = logit
    return logits


def boxes_of(size: tuple[int, int] = (6, 8)) -> Tensor:
    """The box of each place tells its row and column."""
    rows, columns = torch.meshgrid(*(torch.arange(side) / 100 for side in size), indexing="ij")
    return torch.stack([columns, rows, columns + 0.5, rows + 0.5])[None]


def test_peaks_are_found_the_likeliest_first_and_their_neighbours_are_not() -> None:
    logits = maps((1, 1, 1.0), (1, 2, 0.5), (4, 6, 2.0), (0, 7, -1.0))
    rois, scores = find_persons(logits, boxes_of(), most=5).as_rois(0.1)
    assert scores.tolist() == pytest.approx(torch.tensor([2.0, 1.0, -1.0]).sigmoid().tolist())
    assert rois[:, 1:3].tolist() == [pytest.approx(place) for place in ([0.06, 0.04], [0.01, 0.01], [0.07, 0.0])]
    assert not rois[:, 0].any()


def test_the_most_and_the_threshold_are_kept_and_nobody_is_no_error() -> None:
    logits = maps((1, 1, 1.0), (1, 4, 0.5), (4, 6, 2.0))
    assert find_persons(logits, boxes_of(), most=2).as_rois(0.1)[1].tolist() == pytest.approx(
        [0.8808, 0.7311], abs=1e-4
    )
    rois, scores = find_persons(logits, boxes_of(), most=5).as_rois(0.9)
    assert (rois.shape, scores.shape) == ((0, 5), (0,))
    assert find_persons(logits, boxes_of(), most=1000).scores.shape == (1, 48)


def test_rois_say_which_image_they_are_in_and_lie_inside_it() -> None:
    logits = torch.cat([maps((2, 2, 1.0)), maps((3, 3, 1.0), (0, 0, 2.0))])
    rois, _ = find_persons(logits, 4.0 * boxes_of().expand(2, -1, -1, -1) - 0.5, most=3).as_rois(0.5)
    assert rois[:, 0].tolist() == [0.0, 1.0, 1.0]
    assert rois[:, 1:].min() == 0.0
    assert rois[:, 1:].max() == 1.0


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_its_outputs_are_at_stride_four_whatever_the_features(stride: int) -> None:
    detector = Detector(8, feature_stride=stride).eval()
    output = detector(torch.randn(2, 8, 32 // stride, 64 // stride))
    assert {name: tuple(maps.shape) for name, maps in output.items()} == {
        "centre_logits": (2, 1, 8, 16),
        "person_boxes": (2, 4, 8, 16),
    }
    x1, y1, x2, y2 = output["person_boxes"][0, :, 3, 5].tolist()
    assert x1 < 5.5 / 16 < x2
    assert y1 < 3.5 / 8 < y2


def test_before_it_learns_it_finds_nobody() -> None:
    torch.manual_seed(0)
    output = Detector(8, feature_stride=4).eval()(torch.randn(2, 8, 8, 16))
    assert find_persons(**output, most=5).scores.max() < 0.2


def test_of_two_neighbours_that_are_sure_the_likelier_one_is_a_person() -> None:
    """In float32 the probabilities of both are 1."""
    logits = torch.full((1, 1, 4, 4), -10.0)
    logits[0, 0, 1, 1:3] = torch.tensor([20.0, 25.0])
    found = find_persons(logits, torch.rand(1, 4, 4, 4), most=4)
    assert int((found.scores > 0.5).sum()) == 1
