import math

import pytest
import torch
from torch import Tensor

from human_edge_detection.metrics.boundary import boundary_f1, boundary_tolerance


def square(left: int, size: int = 20, side: int = 40) -> Tensor:
    mask = torch.zeros(1, side, side, dtype=torch.uint8)
    mask[:, 10 : 10 + size, left : left + size] = 1
    return mask


def test_tolerance_is_two_pixels_at_the_usual_mask() -> None:
    assert boundary_tolerance((160, 120)) == 2
    assert boundary_tolerance((64, 48)) == 1


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (3, None), (15, None)])
def test_a_shift_within_the_tolerance_is_forgiven(shift: int, expected: float | None) -> None:
    score = float(boundary_f1(square(5 + shift), square(5), tolerance=2))
    assert score == expected if expected is not None else score < 0.8


def test_hand_computed_precision_and_recall() -> None:
    # One column too wide at tolerance 0: the answer has 2 * 21 + 2 * 18 = 78 border pixels, the truth 76;
    # left side and the common top and bottom match, 20 + 2 * 19 = 58.
    wide = square(5)
    wide[:, 10:30, 25] = 1
    precision, recall = 58 / 78, 58 / 76
    f1 = 2 * precision * recall / (precision + recall)
    assert float(boundary_f1(wide, square(5), tolerance=0)) == pytest.approx(f1)


def test_nothing_answered_is_zero_and_nothing_to_find_is_nan() -> None:
    empty = torch.zeros_like(square(5))
    assert float(boundary_f1(empty, square(5), tolerance=2)) == 0.0
    assert math.isnan(boundary_f1(square(5), empty, tolerance=2))
    assert math.isnan(boundary_f1(empty, torch.ones_like(empty), tolerance=2)), "the frame of the roi is no border"
    assert boundary_f1(empty[:0], empty[:0], tolerance=2).shape == (0,)


def test_ignored_pixels_count_for_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 2, (2, 50, 10, 10), generator=generator)
    truth, output = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    truth[:, 14:26, 14:26] = 255
    other = torch.where(truth == 255, torch.randint(0, 3, truth.shape, generator=generator), output)
    scores = boundary_f1(output, truth, tolerance=1)
    assert scores.max() < 1.0
    assert boundary_f1(other, truth, tolerance=1).tolist() == scores.tolist()


def test_the_rim_of_an_ignored_region_is_no_border() -> None:
    truth = square(5)
    truth[:, :, 20:] = 255
    wider = square(5)
    wider[:, 10:30, 25:35] = 1
    assert float(boundary_f1(wider, truth, tolerance=2)) == 1.0


def test_a_border_whose_match_may_be_ignored_is_not_counted() -> None:
    truth = square(5)
    truth[:, :, 20:] = 255
    narrower, narrow = square(5), square(5)
    narrower[:, :, 19:] = 0
    narrow[:, :, 15:] = 0
    assert float(boundary_f1(narrower, truth, tolerance=2)) == 1.0
    assert float(boundary_f1(narrow, truth, tolerance=2)) < 1.0


def test_rois_are_scored_one_by_one() -> None:
    outputs, truths = torch.cat([square(5), square(15)]), torch.cat([square(5), square(5)])
    first, second = boundary_f1(outputs, truths, tolerance=2).tolist()
    assert first == 1.0
    assert second == float(boundary_f1(outputs[1:], truths[1:], tolerance=2))
