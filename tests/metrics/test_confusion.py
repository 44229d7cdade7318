import pytest
import torch
from torch import Tensor

from human_edge_detection.metrics.confusion import _by_bincount, _by_comparison, confusion_matrices


def test_hand_computed_for_each_mask() -> None:
    output = torch.tensor([[[0, 1, 1], [2, 1, 0]], [[2, 2, 2], [0, 0, 0]]])
    truth = torch.tensor([[[0, 1, 2], [2, 255, 1]], [[255, 2, 2], [0, 0, 1]]], dtype=torch.uint8)
    confusion = confusion_matrices(output, truth, 3)
    assert confusion.dtype == torch.int64
    assert confusion.tolist() == [[[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[2, 0, 0], [1, 0, 0], [0, 0, 2]]]


def plain(output: Tensor, truth: Tensor, classes: int) -> list[list[list[int]]]:
    """Each mask and each pair of classes by itself."""
    return [
        [[int(((t == row) & (a == column)).sum()) for column in range(classes)] for row in range(classes)]
        for a, t in zip(output, truth, strict=True)
    ]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64])
def test_counts_are_those_of_each_pair_by_itself(classes: int, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(classes)
    truth = torch.randint(0, classes, (70, 9, 7), generator=generator).to(kind)
    truth[torch.rand(truth.shape, generator=generator) < 0.3] = 255
    truth[5], truth[6] = 255, 0
    output = torch.randint(0, classes, truth.shape, generator=generator)
    expected = plain(output, truth, classes)
    assert confusion_matrices(output, truth, classes).tolist() == expected
    assert confusion_matrices(output.to(kind), truth, classes).tolist() == expected
    if classes == 2:
        assert confusion_matrices(output == 1, truth, classes).tolist() == expected


def test_bool_answer_and_nothing_to_count() -> None:
    assert confusion_matrices(torch.tensor([[True]]), torch.tensor([[1]]), 2).tolist() == [[[0, 0], [0, 1]]]
    assert confusion_matrices(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), 3).shape == (0, 3, 3)
    ignored = torch.full((2, 4), 255, dtype=torch.uint8)
    assert confusion_matrices(torch.zeros(2, 4), ignored, 3).sum() == 0


@pytest.mark.parametrize(("output", "true"), [(0, 3), (2, 3), (0, -1)])
def test_an_unknown_class_is_an_error(output: int, true: int) -> None:
    with pytest.raises(ValueError, match=f"class {true}, expected 0 to 2"):
        confusion_matrices(torch.tensor([[0, output], [0, 0]]), torch.tensor([[0, true], [0, 0]]), 3)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrices(torch.zeros(2, 3), torch.zeros(2, 4), 3)


@pytest.mark.parametrize("rows", [0, 4])
def test_a_gpu_counts_the_same_without_bincount(rows: int) -> None:
    values = torch.randint(0, 6, (rows, 50), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    counts = _by_comparison(values, 6)
    assert torch.equal(counts, _by_bincount(values, 6)) and counts.dtype == torch.int64
