import logging
import math

import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.knowledge_distillation import (
    DistillationLoss,
    FrozenTeacher,
    kl_divergence,
    two_class_logits,
)
from human_edge_detection.structures import LossOutput, SegmentationOutput

ALL_HEADS = {"main": 1.0, "bg_fg": 0.3, "target_nontarget": 0.3, "full_image": 0.3}


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


def test_a_binary_logit_as_two_classes_has_the_same_probability() -> None:
    logit = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.softmax(two_class_logits(logit), 1)[:, 1:], logit.sigmoid())


def answer(seed: int, *, rois: int = 2, heads: tuple[str, ...] = ("bg_fg", "target_nontarget")) -> SegmentationOutput:
    generator = torch.Generator().manual_seed(seed)
    aux = {f"{head}_logits": torch.randn(rois, 2, 6, 4, generator=generator) for head in heads if rois}
    aux["full_image_logits"] = torch.randn(2, 1, 8, 8, generator=generator)
    return SegmentationOutput(torch.randn(rois, 3, 6, 4, generator=generator), aux)


def base_loss() -> LossOutput:
    weighted = {f"term{number}": torch.tensor(0.1 * (number + 1)) for number in range(3)}
    return LossOutput(torch.stack(list(weighted.values())).sum(), dict(weighted), weighted)


FOREGROUND = torch.ones(2, 6, 4, dtype=torch.bool)


def distil(alpha: float, weights: dict[str, float] = ALL_HEADS, **outputs: SegmentationOutput) -> LossOutput:
    student, teacher = outputs.get("student", answer(1)), outputs.get("teacher", answer(2))
    loss = DistillationLoss(temperature=4.0, alpha=alpha, weights=weights)
    return loss(student, teacher, FOREGROUND[: len(student.logits)], base_loss())


def test_alpha_zero_is_the_base_loss() -> None:
    assert torch.equal(distil(0.0).total, base_loss().total)


def test_alpha_one_is_the_weighted_divergence_alone() -> None:
    student, teacher = answer(1), answer(2)
    expected = kl_divergence(student.logits, teacher.logits, 4.0)
    for head in ("bg_fg", "target_nontarget"):
        expected = expected + 0.3 * kl_divergence(student.aux[f"{head}_logits"], teacher.aux[f"{head}_logits"], 4.0)
    full = [two_class_logits(output.aux["full_image_logits"]) for output in (student, teacher)]
    expected = expected + 0.3 * kl_divergence(full[0], full[1], 4.0)
    torch.testing.assert_close(distil(1.0).total, expected)


def test_alpha_between_mixes_the_two() -> None:
    mixed = distil(0.7)
    torch.testing.assert_close(mixed.total, 0.7 * distil(1.0).total + 0.3 * base_loss().total)
    assert set(mixed.terms) == {"term0", "term1", "term2", *(f"distill/{head}" for head in ALL_HEADS)}
    torch.testing.assert_close(mixed.terms["term0"], base_loss().terms["term0"])
    torch.testing.assert_close(torch.stack(list(mixed.weighted.values())).sum(), mixed.total)


def test_a_head_with_weight_zero_is_left_out() -> None:
    loss = distil(1.0, {"main": 1.0, "bg_fg": 0.0})
    assert [name for name in loss.terms if name.startswith("distill/")] == ["distill/main"]


def test_target_or_not_is_distilled_over_foreground_only() -> None:
    loss = DistillationLoss(temperature=1.0, alpha=1.0, weights={"target_nontarget": 1.0})
    foreground = torch.zeros_like(FOREGROUND)
    foreground[:, :2] = True
    student, teacher = answer(1), answer(2)
    other = answer(1)
    other.aux["target_nontarget_logits"][:, :, 2:] += 5.0 * torch.randn(2, 2, 4, 4)
    values = [loss(output, teacher, foreground, base_loss()).total for output in (student, other)]
    assert torch.equal(*values)
    assert not torch.equal(loss(student, teacher, FOREGROUND, base_loss()).total, values[0])


def test_heads_of_one_model_only_are_skipped_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    loss = DistillationLoss(temperature=4.0, alpha=1.0, weights=ALL_HEADS)
    plain = answer(2, heads=())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            terms = loss(answer(1), plain, FOREGROUND, base_loss()).terms
    assert {name for name in terms if name.startswith("distill/")} == {"distill/main", "distill/full_image"}
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all("the teacher has none" in message for message in messages)


def test_a_batch_without_rois_distils_the_full_image_and_blames_no_model(caplog: pytest.LogCaptureFixture) -> None:
    loss = distil(0.7, student=answer(1, rois=0), teacher=answer(2, rois=0))
    assert {name for name in loss.terms if name.startswith("distill/")} == {"distill/full_image"}
    assert not caplog.records


def test_a_batch_with_nothing_to_learn_from_costs_zero() -> None:
    nothing = answer(1, rois=0).aux["full_image_logits"].requires_grad_().sum() * 0.0
    loss = DistillationLoss(temperature=4.0, alpha=0.5, weights={"main": 1.0})
    total = loss(answer(1, rois=0), answer(2, rois=0), FOREGROUND[:0], LossOutput(nothing, {}, {})).total
    assert float(total.detach()) == 0.0


def test_an_unknown_head_is_an_error() -> None:
    with pytest.raises(ValueError, match="contour"):
        DistillationLoss(temperature=4.0, alpha=0.5, weights={"contour": 1.0})


class Recorder(nn.Module):
    """Answers with its BatchNorm, and remembers the size of the images that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor, rois: Tensor) -> SegmentationOutput:
        self.sizes.append(tuple(images.shape[-2:]))
        full = self.norm(images)[:, :1]
        logits = torch.arange(3.0).view(1, 3, 1, 1).expand(len(rois), 3, 20, 10) * self.norm.weight[0]
        return SegmentationOutput(logits, {"full_image_logits": full, "bg_fg_logits": logits[:, :2]})


def test_a_teacher_answers_at_the_students_sizes() -> None:
    model = Recorder()
    teacher = FrozenTeacher(model, image_size=(64, 96))
    output = teacher(torch.rand(2, 3, 32, 32), torch.zeros(4, 5), mask_size=(12, 6))
    assert model.sizes == [(64, 96)]
    assert output.logits.shape == (4, 3, 12, 6)
    assert output.aux["bg_fg_logits"].shape == (4, 2, 12, 6)
    assert output.aux["full_image_logits"].shape == (2, 1, 32, 32)
    torch.testing.assert_close(output.logits[0, :, 0, 0], torch.arange(3.0))
    assert teacher(torch.rand(1, 3, 32, 32), torch.zeros(0, 5), mask_size=(12, 6)).logits.shape[0] == 0


def test_a_teacher_gives_no_gradient_and_never_learns() -> None:
    model = Recorder()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    teacher = FrozenTeacher(model, image_size=(32, 32))
    output = teacher(torch.rand(2, 3, 32, 32) + 5.0, torch.zeros(1, 5), mask_size=(20, 10))
    assert not output.logits.requires_grad
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.train()
    with pytest.raises(RuntimeError, match="training mode"):
        teacher(torch.rand(1, 3, 32, 32), torch.zeros(1, 5), mask_size=(20, 10))
