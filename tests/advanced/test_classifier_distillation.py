import doctest
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced import classifier_distillation
from human_edge_detection.advanced.knowledge_distillation import ClassifierDistillationLoss

SHAPES = [(6, 5), (2, 3, 4, 5)]
POSITIONS = {(6, 5): (6,), (2, 3, 4, 5): (2, 4, 5)}


def batch(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The student's and the teacher's logits, and class indices."""
    random = torch.Generator().manual_seed(seed)
    student, teacher = (2.0 * torch.randn(shape, generator=random) for _ in range(2))
    return student, torch.randint(0, shape[1], POSITIONS[shape], generator=random), teacher


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return functional.one_hot(labels, classes).movedim(-1, 1).float()


def plainly(student: Tensor, labels: Tensor, teacher: Tensor, alpha: float, temperature: float) -> Tensor:
    """The formula with what torch has for it."""
    softened = (functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    rows = [logits.movedim(1, -1).reshape(-1, student.shape[1]) for logits in softened]
    divergence = functional.kl_div(rows[0], rows[1], reduction="batchmean", log_target=True)
    return (1 - alpha) * functional.cross_entropy(student, labels) + alpha * temperature**2 * divergence


def test_the_example_of_the_docstring_is_right() -> None:
    result = doctest.testmod(classifier_distillation)
    assert result.failed == 0
    assert result.attempted > 5


def test_the_defaults_by_hand() -> None:
    # The student says (1/2, 1/2): ln 2 for any label. At temperature 3 the teacher says (3/4, 1/4).
    loss = ClassifierDistillationLoss(from_logits=True)
    teacher = torch.tensor([[3.0 * math.log(3.0), 0.0]])
    total, hard, soft = loss(torch.zeros(1, 2), torch.tensor([1]), teacher)
    assert float(hard) == pytest.approx(0.5 * math.log(2.0))
    assert float(soft) == pytest.approx(0.5 * 9.0 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))
    assert float(total) == float(hard) + float(soft)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 3.0), (0.9, 1.0), (0.0, 4.0), (1.0, 0.5)])
def test_value_and_gradient_are_those_of_torch(shape: tuple[int, ...], alpha: float, temperature: float) -> None:
    student, labels, teacher = batch(shape)
    loss = ClassifierDistillationLoss(alpha=alpha, temperature=temperature, from_logits=True)
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda given: loss(given, labels, teacher).total,
        lambda given: plainly(given, labels, teacher, alpha, temperature),
    ]
    slopes: list[Tensor] = []
    values: list[Tensor] = []
    for function in functions:
        leaf = student.clone().requires_grad_()
        values.append(function(leaf))
        slopes += torch.autograd.grad(values[-1], leaf)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(slopes[0], slopes[1])
    assert loss(student, labels, teacher).hard == pytest.approx(
        float((1 - alpha) * functional.cross_entropy(student, labels)), rel=1e-5
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_all_ways_to_say_the_same_give_the_same(shape: tuple[int, ...]) -> None:
    student, labels, teacher = batch(shape)
    known = one_hot(labels, shape[1])
    logits = ClassifierDistillationLoss(from_logits=True)
    stored = ClassifierDistillationLoss(from_logits=True, teacher_from_logits=False)
    probabilities = ClassifierDistillationLoss(from_logits=False)
    mixed = ClassifierDistillationLoss(from_logits=False, teacher_from_logits=True)
    soft = teacher.softmax(1)
    values = [
        logits(student, labels.to(torch.uint8), teacher),
        logits(student, known, teacher),
        logits(student, torch.cat([known, teacher], 1)),
        stored(student, labels, soft),
        stored(student, torch.cat([known, soft], 1)),
        probabilities(student.softmax(1), labels, soft),
        probabilities(student.softmax(1), torch.cat([known, soft], 1)),
        mixed(student.softmax(1), labels, teacher),
    ]
    expected = logits(student, labels, teacher)
    for value in values:
        torch.testing.assert_close(value, expected)


def test_the_gradient_of_probabilities_is_that_of_finite_differences() -> None:
    loss = ClassifierDistillationLoss(from_logits=False, temperature=2.0)
    student, teacher = torch.tensor([[[0.2, 0.3, 0.5]], [[0.6, 0.3, 0.1]]]).double()
    student, teacher = student / student.sum(), teacher / teacher.sum()
    labels = torch.tensor([0])
    direction = torch.tensor([[0.5, -1.0, 0.5]])  # stays on the probabilities
    leaf = student.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf, labels, teacher).total, leaf)
    step = 1e-5
    above, below = (loss(student + sign * step * direction, labels, teacher).total for sign in (1, -1))
    assert float((slope * direction).sum()) == pytest.approx(float((above - below) / (2 * step)), rel=1e-6)


def test_smoothed_labels_count_by_their_probabilities() -> None:
    student, _, teacher = batch((6, 5))
    labels = torch.full((6, 5), 0.05).index_fill_(1, torch.tensor([2]), 0.8)
    hard = ClassifierDistillationLoss(from_logits=True)(student, labels, teacher).hard
    torch.testing.assert_close(hard, 0.5 * functional.cross_entropy(student, labels))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_half_precision_is_computed_in_full(shape: tuple[int, ...], precision: torch.dtype) -> None:
    student, labels, teacher = (given.to(precision) if given.is_floating_point() else given for given in batch(shape))
    loss = ClassifierDistillationLoss(from_logits=True, temperature=20.0)
    leaf = student.clone().requires_grad_()
    found = loss(leaf, torch.cat([one_hot(labels, shape[1]).to(precision), teacher], 1))
    torch.testing.assert_close(found, loss(student.float(), labels, teacher.float()))
    (slope,) = torch.autograd.grad(found.total, leaf)
    assert slope.dtype == precision
    assert slope.isfinite().all()
    likely = ClassifierDistillationLoss(from_logits=False)(student.softmax(1), labels, teacher.softmax(1))
    assert float(likely.total) == pytest.approx(float(loss_of_logits(student, labels, teacher)), rel=0.05)


def loss_of_logits(student: Tensor, labels: Tensor, teacher: Tensor) -> Tensor:
    return ClassifierDistillationLoss(from_logits=True)(student, labels, teacher).total


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_the_largest_logits_of_half_precision_stay_finite(precision: torch.dtype) -> None:
    large = torch.finfo(torch.float16).max
    leaf = torch.tensor([[large, -large]], dtype=precision, requires_grad=True)
    teacher = torch.tensor([[-large, large]], dtype=precision)
    total = ClassifierDistillationLoss(from_logits=True)(leaf, torch.tensor([1]), teacher).total
    (slope,) = torch.autograd.grad(total, leaf)
    assert total.isfinite()
    assert slope.isfinite().all()


def test_ignored_positions_count_in_neither_part() -> None:
    student, labels, teacher = batch((2, 3, 4, 5))
    loss = ClassifierDistillationLoss(from_logits=True, ignore_index=255)
    cut = labels.clone()
    cut[:, 2:] = 255
    expected = loss(student[:, :, :2], labels[:, :2], teacher[:, :, :2])
    leaf = student.clone().requires_grad_()
    found = loss(leaf, cut.to(torch.uint8), teacher)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(found.total, leaf)
    assert not slope[:, :, 2:].any()
    assert slope[:, :, :2].any()
    torch.testing.assert_close(found.hard, 0.5 * functional.cross_entropy(student, cut, ignore_index=255))


@pytest.mark.parametrize("shape", SHAPES)
def test_where_no_position_counts_the_loss_is_zero_and_so_is_its_gradient(shape: tuple[int, ...]) -> None:
    student, labels, teacher = batch(shape)
    loss = ClassifierDistillationLoss(from_logits=True, ignore_index=255)
    leaf = student.requires_grad_()
    total = loss(leaf, torch.full_like(labels, 255), teacher).total
    (slope,) = torch.autograd.grad(total, leaf)
    assert float(total.detach()) == 0.0
    assert not slope.any()
    assert [float(part) for part in loss(student[:0], labels[:0], teacher[:0])] == [0.0, 0.0, 0.0]


def test_the_teacher_and_the_labels_get_no_gradient() -> None:
    student, labels, teacher = batch((6, 5))
    joined = torch.cat([one_hot(labels, 5), teacher], 1).requires_grad_()
    total = ClassifierDistillationLoss(from_logits=True)(student.requires_grad_(), joined).total
    torch.autograd.backward(total)
    assert student.grad is not None
    assert joined.grad is None or not joined.grad.any()


def test_a_loss_of_ones_own_takes_the_place_of_the_cross_entropy() -> None:
    student, labels, teacher = batch((6, 5))
    own = nn.CrossEntropyLoss(label_smoothing=0.1)
    loss = ClassifierDistillationLoss(own, alpha=0.25, from_logits=True)
    found, plain = loss(student, labels, teacher), ClassifierDistillationLoss(alpha=0.25, from_logits=True)
    torch.testing.assert_close(found.hard, 0.75 * own(student, labels))
    torch.testing.assert_close(found.soft, plain(student, labels, teacher).soft)
    likely = ClassifierDistillationLoss(functional.mse_loss, from_logits=False)
    hot = one_hot(labels, 5)
    torch.testing.assert_close(
        likely(student.softmax(1), hot, teacher.softmax(1)).hard, 0.5 * functional.mse_loss(student.softmax(1), hot)
    )


@pytest.mark.parametrize(
    "loss",
    [
        ClassifierDistillationLoss(from_logits=True),
        ClassifierDistillationLoss(
            alpha=0.9, temperature=2.0, from_logits=False, teacher_from_logits=True, ignore_index=255
        ),
    ],
    ids=["defaults", "all changed"],
)
def test_a_loss_is_rebuilt_from_its_config(loss: ClassifierDistillationLoss) -> None:
    assert ClassifierDistillationLoss.from_config(json.loads(json.dumps(loss.get_config()))) == loss


def test_the_defaults_are_alpha_a_half_and_temperature_three() -> None:
    config = ClassifierDistillationLoss(from_logits=True).get_config()
    assert (config["alpha"], config["temperature"]) == (0.5, 3.0)
    with pytest.raises(TypeError, match="from_logits"):
        ClassifierDistillationLoss()  # type: ignore[call-arg]


def test_a_config_is_rebuilt_with_the_loss_that_it_was_made_with_only() -> None:
    loss = ClassifierDistillationLoss(functional.mse_loss, from_logits=True)
    config = json.loads(json.dumps(loss.get_config()))
    assert ClassifierDistillationLoss.from_config(config, student_loss=functional.mse_loss) == loss
    for other in (None, functional.l1_loss, nn.MSELoss()):
        with pytest.raises(ValueError, match=r"expected torch\.nn\.functional\.mse_loss, which"):
            ClassifierDistillationLoss.from_config(config, student_loss=other)
    with pytest.raises(TypeError, match="beta"):
        ClassifierDistillationLoss.from_config({"from_logits": True, "beta": 1.0})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 1.1}, r"alpha 1.1, expected a number in \[0, 1\]"),
        ({"alpha": math.nan}, "alpha nan"),
        ({"temperature": 0.0}, "temperature 0.0, expected a finite number above 0"),
        ({"temperature": math.inf}, "temperature inf"),
        ({"from_logits": None}, r"from_logits None, expected True \(logits\)"),
        ({"teacher_from_logits": "no"}, "teacher_from_logits 'no'"),
    ],
)
def test_a_setting_out_of_range_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClassifierDistillationLoss(**{"from_logits": True, **changes})


STUDENT, INDICES = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        ({}, (STUDENT[0], INDICES[0], STUDENT[0]), r"student \(3, 4, 5\), expected \(N, C\) or \(N, C, H, W\)"),
        ({}, (STUDENT[:, :1], INDICES, STUDENT[:, :1]), "2 classes or more"),
        ({}, (STUDENT, INDICES, STUDENT[:, :2]), r"teacher \(2, 2, 4, 5\)"),
        ({}, (STUDENT, INDICES[:, :2], STUDENT), r"class indices \(2, 2, 5\), expected \(2, 4, 5\)"),
        ({}, (STUDENT, STUDENT.long(), STUDENT), "one-hot labels must be floats"),
        ({}, (STUDENT, INDICES + 255, STUDENT), "class indices from 255 to 255, expected 0 to 2 or ignore_index"),
        ({}, (STUDENT, INDICES - 1, STUDENT), "class indices from -1 to -1"),
        ({}, (STUDENT, STUDENT[:, :2], STUDENT), r"label probabilities \(2, 2, 4, 5\) differ"),
        ({}, (STUDENT, STUDENT, STUDENT), "label probabilities must be >= 0 and sum to 1"),
        ({}, (STUDENT, STUDENT), r"labels \(2, 3, 4, 5\) torch.float32 without .* floats \(2, 6, 4, 5\)"),
        ({}, (STUDENT, INDICES), r"labels \(2, 4, 5\) torch.int64 without a teacher"),
        ({}, (STUDENT, torch.cat([STUDENT, STUDENT], 1).long()), "torch.int64 without a teacher"),
        ({"from_logits": False}, (STUDENT, INDICES, STUDENT), "student probabilities must be >= 0 and sum to 1"),
        ({"teacher_from_logits": False}, (STUDENT, INDICES, STUDENT), "teacher probabilities must be .*logits?"),
        ({"ignore_index": 255}, (STUDENT, STUDENT, STUDENT), "ignore_index 255 is for class indices"),
        (
            {"ignore_index": 255, "student_loss": lambda *_: STUDENT.sum()},
            (STUDENT, INDICES[:1], STUDENT),
            r"class indices \(1, 4, 5\)",
        ),
        ({"student_loss": nn.CrossEntropyLoss(reduction="none")}, (STUDENT, INDICES, STUDENT), "expected a scalar"),
    ],
)
def test_what_does_not_fit_is_an_error(settings: dict[str, Any], given: tuple[Tensor, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClassifierDistillationLoss(**{"from_logits": True, **settings})(*given)
