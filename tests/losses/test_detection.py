from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from human_edge_detection.losses.detection import box_labels, box_loss, centre_focal_loss, centre_labels
from human_edge_detection.structures import IGNORE, Batch

SIZE = (64, 96)
PLACES = (16, 24)
Box = tuple[float, float, float, float]
LARGE: Box = (0.25, 0.125, 0.75, 0.875)
SMALL: Box = (0.40, 0.40, 0.50, 0.60)


def batch_of(*boxes: Sequence[Box], unknown: tuple[slice, slice] | None = None) -> Batch:
    """Images with these persons; ``unknown`` rows and columns of each are ignored."""
    padded = torch.zeros(len(boxes), max(1, *map(len, boxes)), 4)
    for row, of_image in zip(padded, boxes, strict=True):
        row[: len(of_image)] = torch.tensor(of_image).reshape(-1, 4)
    people = torch.zeros(len(boxes), *SIZE, dtype=torch.uint8)
    if unknown is not None:
        people[:, *unknown] = IGNORE
    nobody = torch.zeros(0, 5), torch.zeros(0, 4, 4, dtype=torch.uint8)
    return Batch(torch.zeros(len(boxes), 3, *SIZE), *nobody, people, tuple(range(len(boxes))), (), padded)


def test_a_person_is_centred_in_the_place_that_has_the_centre_of_the_box() -> None:
    labels = centre_labels(batch_of([LARGE, SMALL], [], [SMALL]))
    assert labels.shape == (3, *PLACES)
    assert (labels == 1.0).nonzero().tolist() == [[0, 8, 10], [0, 8, 12], [2, 8, 10]]
    assert not labels[1].any()
    assert 0.0 < labels[0, 9, 12] < 1.0
    # The region has 0.54 of the box: of 12 rows 3.24 to each side, and half a place.
    assert labels[0, :, 12].nonzero().flatten().tolist() == [5, 6, 7, 8, 9, 10, 11]


def test_what_nobody_knows_is_ignored_but_for_a_known_centre() -> None:
    labels = centre_labels(batch_of([LARGE], [], unknown=(slice(None), slice(44, 62))))
    # Columns 11 to 14 are ignored whole; of column 15 half.
    assert (labels[1] == IGNORE).nonzero()[:, 1].unique().tolist() == [11, 12, 13, 14]
    assert labels[0, 8, 12] == 1.0
    assert (labels[0] == IGNORE).sum() == (labels[1] == IGNORE).sum() - 1


def test_the_smallest_person_has_a_place_and_each_person_weighs_as_much() -> None:
    labels = box_labels(batch_of([LARGE, SMALL], []))
    boxes, weight = labels[:, :4], labels[:, 4]
    assert boxes[0, :, 8, 10].tolist() == pytest.approx(SMALL)
    assert boxes[0, :, 8, 12].tolist() == pytest.approx(LARGE)
    is_small = (boxes[0, 0] == boxes[0, 0, 8, 10]) & (weight[0] > 0)
    assert weight[0][is_small].sum().item() == pytest.approx(1.0)
    assert weight[0].sum().item() == pytest.approx(2.0)
    assert not weight[1].any()


def focal(logits: Tensor, labels: Tensor) -> float:
    return centre_focal_loss(logits[None, None], labels[None]).item()


def test_focal_loss_by_hand() -> None:
    """At probability 1/2: centres count 1/4 ln 2, other places that times (1 - label)^4, ignored ones nothing."""
    zeros, unit = torch.zeros(1, 3), 0.25 * torch.tensor(2.0).log().item()
    assert focal(zeros, torch.tensor([[1.0, 0.0, 0.5]])) == pytest.approx(unit * (1 + 1 + 0.5**4))
    assert focal(zeros, torch.tensor([[1.0, IGNORE, IGNORE]])) == pytest.approx(unit)
    assert focal(zeros, torch.tensor([[1.0, 1.0, 0.0]])) == pytest.approx(unit * 3 / 2)
    assert focal(zeros, torch.tensor([[0.0, 0.0, IGNORE]])) == pytest.approx(unit * 2)


def test_losses_are_means_over_images() -> None:
    """So batches of a step can be averaged by their share of its images."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, *PLACES, generator=random)
    corners = torch.rand(3, 4, *PLACES, generator=random)
    boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:]], dim=1)
    batch = batch_of([LARGE, SMALL], [], [SMALL])
    for loss, output, labels in (
        (centre_focal_loss, logits, centre_labels(batch)),
        (box_loss, boxes, box_labels(batch)),
    ):
        each = [loss(output[i : i + 1], labels[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(loss(output, labels), torch.stack(each).mean())


def test_true_boxes_cost_nothing_and_far_ones_more_than_near_ones() -> None:
    labels = box_labels(batch_of([LARGE, SMALL]))
    true = labels[:, :4].clone()
    near, far = true + 0.02, true + 2.0
    assert box_loss(true, labels).item() == pytest.approx(0.0, abs=1e-5)
    assert 0.0 < box_loss(near, labels).item() < 0.6 < 1.0 < box_loss(far, labels).item() < 2.0
