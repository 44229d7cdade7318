import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from human_edge_detection.advanced.distillation_terms.kl import SoftTargetLoss, kl_divergence, standardised_kl

pytestmark = pytest.mark.usefixtures("float64")

BUT_FOR_THE_LEAST_SPREAD: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
"""What is added to a standard deviation so that it is never 0."""


def pair(shape: tuple[int, ...] = (2, 3, 4, 5), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_equal_logits_diverge_by_nothing() -> None:
    logits, _ = pair()
    assert float(kl_divergence(logits, logits, 4.0)) == 0.0
    # Only differences between classes matter, not a constant added to all of them.
    assert float(kl_divergence(logits, logits + 3.0, 4.0)) == pytest.approx(0.0, abs=1e-5)


def test_a_value_by_hand() -> None:
    # N=1, C=2, H=W=2. At temperature 1 the student says (1/2, 1/2) everywhere. The teacher says (3/4, 1/4) at two of
    # the four positions: 3/4 ln(3/2) + 1/4 ln(1/2) each, and agrees at the two others.
    student = torch.zeros(1, 2, 2, 2)
    teacher = torch.zeros(1, 2, 2, 2)
    teacher[0, 0, 0] = math.log(3.0)
    one = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(kl_divergence(student, teacher, 1.0)) == pytest.approx(2 * one / 4, rel=1e-6)
    # At temperature 2 a logit of 2 ln 3 is as ln 3 at 1, and the value is multiplied by 2 squared.
    assert float(kl_divergence(student, 2.0 * teacher, 2.0)) == pytest.approx(4 * 2 * one / 4, rel=1e-6)


def test_the_direction_is_teacher_to_student() -> None:
    # (1/2, 1/2) taught to a student that says (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2, another value than the reverse.
    student = torch.tensor([[math.log(3.0), 0.0]])
    expected = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert float(kl_divergence(student, torch.zeros(1, 2), 1.0)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 2, 3], ids=["N", "H", "W"])
def test_the_scale_does_not_depend_on_the_number_of_positions(axis: int) -> None:
    student, teacher = pair()
    doubled = torch.cat([student, student], axis), torch.cat([teacher, teacher], axis)
    torch.testing.assert_close(kl_divergence(*doubled, 4.0), kl_divergence(student, teacher, 4.0))


def test_pixels_and_rows_of_logits_are_the_same_positions() -> None:
    student, teacher = pair()
    rows = [logits.movedim(1, -1).reshape(-1, 3) for logits in (student, teacher)]
    torch.testing.assert_close(kl_divergence(rows[0], rows[1], 4.0), kl_divergence(student, teacher, 4.0))


def test_only_masked_positions_count() -> None:
    student, teacher = pair()
    mask = torch.zeros(2, 4, 5, dtype=torch.bool)
    mask[:, 1:3] = True
    inside = kl_divergence(student[:, :, 1:3], teacher[:, :, 1:3], 4.0)
    torch.testing.assert_close(kl_divergence(student, teacher, 4.0, mask=mask), inside)
    assert float(kl_divergence(student, teacher, 4.0, mask=torch.zeros_like(mask))) == 0.0
    rows = torch.tensor([True, False])
    torch.testing.assert_close(
        kl_divergence(student[:, :, 0, 0], teacher[:, :, 0, 0], 4.0, mask=rows),
        kl_divergence(student[:1, :, 0, 0], teacher[:1, :, 0, 0], 4.0),
    )


def test_no_position_at_all_is_zero() -> None:
    assert float(kl_divergence(torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 4, 4), 4.0)) == 0.0


def gradient(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    leaf = student.clone().requires_grad_()
    (slope,) = torch.autograd.grad(kl_divergence(leaf, teacher, temperature), leaf)
    return slope


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_temperature_times_the_difference_of_the_softened_classes(temperature: float) -> None:
    student, teacher = pair()
    soft = [torch.softmax(logits.double() / temperature, 1) for logits in (student, teacher)]
    expected = temperature * (soft[0] - soft[1]) / (2 * 4 * 5)
    torch.testing.assert_close(gradient(student, teacher, temperature).double(), expected, rtol=1e-4, atol=1e-7)


def test_the_gradient_is_that_of_finite_differences() -> None:
    student, teacher = pair()
    slope = gradient(student, teacher, 2.0)
    direction = torch.randn(student.shape, generator=torch.Generator().manual_seed(3))
    step = 1e-2
    above, below = (kl_divergence(student + sign * step * direction, teacher, 2.0) for sign in (1, -1))
    assert float((slope * direction).sum()) == pytest.approx(float((above - below) / (2 * step)), rel=2e-3)


def test_the_gradient_keeps_its_size_at_high_temperatures() -> None:
    student, teacher = pair()
    sizes = [float(gradient(student, teacher, temperature).norm()) for temperature in (20.0, 40.0, 80.0)]
    assert sizes == pytest.approx([sizes[0]] * 3, rel=0.05)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = pair()
    torch.autograd.backward(kl_divergence(student.requires_grad_(), teacher.requires_grad_(), 4.0))
    assert student.grad is not None
    assert teacher.grad is None


def test_different_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and teacher \(2, 4\)"):
        kl_divergence(torch.zeros(2, 3), torch.zeros(2, 4), 1.0)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("shape", [(6, 10), (2, 3, 4, 5)])
def test_probabilities_teach_what_their_logits_teach(shape: tuple[int, ...], temperature: float) -> None:
    student, teacher = pair(shape)
    expected = kl_divergence(student, teacher, temperature)
    stored = kl_divergence(student, teacher.softmax(1), temperature, probabilities=True)
    torch.testing.assert_close(stored, expected)
    half = kl_divergence(student, teacher.softmax(1).half(), temperature, probabilities=True)
    torch.testing.assert_close(half, expected, rtol=2e-3, atol=1e-4)


def test_probabilities_of_zero_and_one_are_finite_and_by_hand() -> None:
    # The student says 1/4 for the class that the teacher is sure of: ln 4.
    student = torch.tensor([[0.0, math.log(3.0)]], requires_grad=True)
    loss = kl_divergence(student, torch.tensor([[1.0, 0.0]]), 1.0, probabilities=True)
    assert float(loss.detach()) == pytest.approx(math.log(4.0), abs=1e-5)
    torch.autograd.backward(loss)
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.tensor([[-0.75, 0.75]]), atol=1e-5, rtol=1e-5)


def test_softened_probabilities_by_hand() -> None:
    # (0.9, 0.1) at temperature 2 is (3, 1) / 4: the square roots, normalised.
    teacher = torch.tensor([[0.9, 0.1]])
    expected = 4.0 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert float(kl_divergence(torch.zeros(1, 2), teacher, 2.0, probabilities=True)) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[[2.0, -1.0]], [[0.2, 0.2]], [[float("nan"), 1.0]]])
def test_logits_given_as_probabilities_are_an_error(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="probabilities must be >= 0 and sum to 1"):
        kl_divergence(torch.zeros(1, 2), torch.tensor(values), 1.0, probabilities=True)


@pytest.mark.parametrize("loss", [SoftTargetLoss(), SoftTargetLoss(2.0, probabilities=False)])
def test_a_soft_target_loss_is_rebuilt_from_its_config(loss: SoftTargetLoss) -> None:
    assert SoftTargetLoss.from_config(json.loads(json.dumps(loss.to_config()))) == loss
    student, teacher = pair((6, 10))
    targets = teacher.softmax(1) if loss.probabilities else teacher
    torch.testing.assert_close(loss(student, targets), kl_divergence(student, teacher, loss.temperature))
    mask = torch.tensor([True, False] * 3)
    assert not torch.equal(loss(student, targets, mask), loss(student, targets))


def test_standardised_logits_ignore_scale_and_shift() -> None:
    student, teacher = pair()
    assert float(standardised_kl(3.0 * teacher + 2.0, teacher, 2.0)) == pytest.approx(0.0, abs=1e-5)
    value = standardised_kl(student, teacher, 2.0)
    torch.testing.assert_close(standardised_kl(5.0 * student, teacher, 2.0), value, **BUT_FOR_THE_LEAST_SPREAD)
    assert float(kl_divergence(3.0 * teacher, teacher, 2.0)) > 0.1


def test_standardised_logits_by_hand() -> None:
    # (0, 3, 6) is (-1, 0, 1) with the standard deviation of a sample, and (3, 2, 1) the reverse.
    student, teacher = torch.tensor([[0.0, 3.0, 6.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    expected = kl_divergence(torch.tensor([[-1.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0, -1.0]]), 2.0)
    torch.testing.assert_close(standardised_kl(student, teacher, 2.0), expected, **BUT_FOR_THE_LEAST_SPREAD)


def test_standardised_logits_of_two_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="of 2 classes say nothing"):
        standardised_kl(torch.zeros(1, 2), torch.zeros(1, 2), 1.0)
