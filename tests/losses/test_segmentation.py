import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.losses.segmentation import balanced_cross_entropy, binary_losses, class_losses
from human_edge_detection.structures import IGNORE

pytestmark = pytest.mark.usefixtures("float64")

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return class_losses(logits, target).cross_entropy


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    return class_losses(logits, target).dice


def binary_cross_entropy(logit: Tensor, target: Tensor) -> Tensor:
    return binary_losses(logit, target).cross_entropy


def binary_dice_loss(logit: Tensor, target: Tensor) -> Tensor:
    return binary_losses(logit, target).dice


MULTI_CLASS: list[Loss] = [cross_entropy, dice_loss]
BINARY: list[Loss] = [binary_cross_entropy, binary_dice_loss, balanced_cross_entropy]


def three_classes(rois: int = 2, size: tuple[int, int] = (6, 4), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rois, 3, *size, generator=generator)
    return logits, torch.randint(0, 3, (rois, *size), generator=generator)


def two_classes(images: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, 1, 6, 4, generator=generator), torch.randint(0, 2, (images, 6, 4), generator=generator)


CASES = [(loss, three_classes) for loss in MULTI_CLASS] + [(loss, two_classes) for loss in BINARY]
NAMES = [loss.__name__ for loss, _ in CASES]
each_loss = pytest.mark.parametrize(("loss", "example"), CASES, ids=NAMES)


@pytest.mark.parametrize("loss", MULTI_CLASS)
def test_perfect_logits_cost_nothing(loss: Loss) -> None:
    _, target = three_classes()
    perfect = 30.0 * functional.one_hot(target, 3).movedim(-1, 1).float()
    assert float(loss(perfect, target)) == pytest.approx(0.0, abs=1e-5)
    assert float(loss(-perfect, target)) > 0.5


@pytest.mark.parametrize("loss", BINARY)
def test_perfect_binary_logits_cost_nothing(loss: Loss) -> None:
    _, target = two_classes()
    perfect = 60.0 * target[:, None].float() - 30.0
    assert float(loss(perfect, target)) == pytest.approx(0.0, abs=1e-5)
    assert float(loss(-perfect, target)) > 0.5


@each_loss
def test_ignored_pixels_change_neither_value_nor_gradient(
    loss: Loss, example: Callable[[], tuple[Tensor, Tensor]]
) -> None:
    logits, target = example()
    target[:, :2] = IGNORE
    other = logits.clone()
    other[:, :, :2] = 50.0 * torch.randn(other[:, :, :2].shape, generator=torch.Generator().manual_seed(1))
    outputs = []
    for values in (logits, other):
        leaf = values.clone().requires_grad_()
        value = loss(leaf, target)
        (gradient,) = torch.autograd.grad(value, leaf)
        outputs.append((value.detach(), gradient))
    (value, gradient), (other_value, other_gradient) = outputs
    torch.testing.assert_close(value, other_value)
    torch.testing.assert_close(gradient[:, :, 2:], other_gradient[:, :, 2:])
    assert not gradient[:, :, :2].any()
    assert not other_gradient[:, :, :2].any()


@each_loss
def test_nothing_to_count_is_zero_with_a_finite_gradient(
    loss: Loss, example: Callable[[], tuple[Tensor, Tensor]]
) -> None:
    logits, target = example()
    leaf = logits.requires_grad_()
    value = loss(leaf, torch.full_like(target, IGNORE))
    (gradient,) = torch.autograd.grad(value, leaf)
    assert float(value.detach()) == pytest.approx(0.0, abs=1e-6)
    assert not gradient.any()


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["N", "H", "W"])
@each_loss
def test_the_scale_does_not_depend_on_the_number_of_positions(
    loss: Loss, example: Callable[[], tuple[Tensor, Tensor]], axis: int
) -> None:
    logits, target = example()
    doubled = torch.cat([logits, logits], axis if axis == 0 else axis + 1), torch.cat([target, target], axis)
    # Dice adds one pixel to both sides of its fraction, so it moves a little; a sum would double.
    tolerance = 0.0 if "cross" in loss.__name__ else 0.03
    assert float(loss(*doubled)) == pytest.approx(float(loss(logits, target)), abs=tolerance + 1e-6)


@each_loss
def test_the_gradient_is_that_of_finite_differences(loss: Loss, example: Callable[[], tuple[Tensor, Tensor]]) -> None:
    logits, target = example()
    target[0, 0, 0] = IGNORE
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, target), leaf)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        direction = torch.randn(logits.shape, generator=generator)
        step = 1e-2
        slope = (loss(logits + step * direction, target) - loss(logits - step * direction, target)) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=2e-3, abs=1e-4)


def test_cross_entropy_by_hand() -> None:
    # Two pixels, logits (0, ln 3): p = (1/4, 3/4). Truth 0 and 1: (ln 4 + ln 4/3) / 2.
    logits = torch.tensor([0.0, math.log(3.0)]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])
    assert float(cross_entropy(logits, target)) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    # Class weights 3 and 1 make it a weighted mean, not a larger one: (3 ln 4 + ln 4/3) / 4.
    weights = torch.tensor([3.0, 1.0])
    expected = (3 * math.log(4) + math.log(4 / 3)) / 4
    assert float(class_losses(logits, target, class_weights=weights.tolist()).cross_entropy) == pytest.approx(expected)
    # So do pixel weights, here the same ones.
    pixels = torch.tensor([[[3.0, 1.0]]])
    assert float(class_losses(logits, target, pixel_weights=pixels).cross_entropy) == pytest.approx(expected)


def test_class_weights_are_those_of_torch() -> None:
    logits, target = three_classes()
    target[1, :3] = IGNORE
    weights = torch.tensor([0.5, 2.0, 1.0])
    expected = functional.cross_entropy(logits, target, weight=weights, ignore_index=IGNORE)
    torch.testing.assert_close(class_losses(logits, target, class_weights=weights.tolist()).cross_entropy, expected)


def test_dice_is_that_of_one_class_after_the_other() -> None:
    logits, target = three_classes()
    target[1, :3] = IGNORE
    probabilities, valid, losses = logits.softmax(dim=1), target != IGNORE, []
    for number in range(3):
        output, truth = probabilities[:, number][valid], (target == number)[valid].float()
        losses.append(1 - (2 * (output * truth).sum() + 1) / (output.sum() + truth.sum() + 1))
    torch.testing.assert_close(dice_loss(logits, target), torch.stack(losses).mean())


def test_bytes_are_as_good_as_long_integers() -> None:
    logits, target = three_classes()
    target[1, :3] = IGNORE
    assert class_losses(logits, target.byte()) == class_losses(logits, target)
    logit, target = two_classes()
    target[1, :3] = IGNORE
    assert binary_losses(logit, target.byte()) == binary_losses(logit, target)


def test_dice_is_taken_over_the_batch_not_roi_by_roi() -> None:
    # Roi 0 is all class 0, roi 1 all class 1, both answered right: the batch has two classes, each roi only one.
    target = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]).long()
    logits = 30.0 * functional.one_hot(target, 3).movedim(-1, 1).float()
    wrong = logits.clone()
    wrong[1] = logits[0]
    assert float(dice_loss(logits, target)) == pytest.approx(0.0, abs=1e-6)
    # Class 0: 1 - (2*16 + 1) / (32 + 16 + 1); class 1: 1 - 1 / 17; class 2 does not occur.
    assert float(dice_loss(wrong, target)) == pytest.approx((1 - 33 / 49 + 1 - 1 / 17) / 2, abs=1e-5)


def test_balanced_cross_entropy_weighs_both_kinds_the_same() -> None:
    # One positive pixel of 24. Logit 0 everywhere costs ln 2, whatever the weights; the gradients sum to zero.
    target = torch.zeros(1, 6, 4)
    target[0, 2, 1] = 1
    logit = torch.zeros(1, 1, 6, 4, requires_grad=True)
    value = balanced_cross_entropy(logit, target)
    (gradient,) = torch.autograd.grad(value, logit)
    assert float(value.detach()) == pytest.approx(math.log(2))
    assert float(gradient.sum()) == pytest.approx(0.0, abs=1e-6)
    assert float(gradient[0, 0, 2, 1]) == pytest.approx(-0.25)
