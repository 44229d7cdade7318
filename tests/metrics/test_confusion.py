import math

import pytest
import torch

from human_edge_detection.metrics.confusion import confusion_matrix, dice_per_class, iou_per_class, mean_iou


def test_hand_computed() -> None:
    answer = torch.tensor([[0, 1, 1], [2, 1, 0]])
    truth = torch.tensor([[0, 1, 2], [2, 255, 1]], dtype=torch.uint8)
    confusion = confusion_matrix(answer, truth, 3)
    assert confusion.dtype == torch.int64
    assert confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert iou_per_class(confusion).tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert dice_per_class(confusion).tolist() == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    assert float(mean_iou(confusion)) == pytest.approx(4 / 9)


def test_mean_leaves_out_a_class_that_nobody_has_but_not_one_that_is_only_answered() -> None:
    absent = confusion_matrix(torch.tensor([0, 1]), torch.tensor([0, 1]), 3)
    assert math.isnan(iou_per_class(absent)[2])
    assert float(mean_iou(absent)) == 1.0
    invented = confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 0]), 3)
    assert iou_per_class(invented)[2] == 0.0
    assert float(mean_iou(invented)) == pytest.approx(0.25)


def test_bool_answer_and_nothing_to_count() -> None:
    assert confusion_matrix(torch.tensor([True]), torch.tensor([1]), 2).tolist() == [[0, 0], [0, 1]]
    assert confusion_matrix(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), 3).sum() == 0
    assert math.isnan(mean_iou(torch.zeros(3, 3, dtype=torch.int64)))


@pytest.mark.parametrize("answer", [0, 2])
def test_an_unknown_class_is_an_error(answer: int) -> None:
    with pytest.raises(ValueError, match="class 3"):
        confusion_matrix(torch.tensor([0, answer]), torch.tensor([0, 3]), 3)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrix(torch.zeros(2, 3), torch.zeros(2, 4), 3)
