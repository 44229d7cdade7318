"""Values by hand, and what each paper says its term is."""

import math

import pytest
import torch
from torch import Tensor

from human_edge_detection.advanced.distillation_terms.boundary import boundary_kl
from human_edge_detection.advanced.distillation_terms.channel_wise import channel_wise_divergence
from human_edge_detection.advanced.distillation_terms.decoupled import decoupled_kl
from human_edge_detection.advanced.distillation_terms.features import (
    FeatureAdapter,
    attention_distance,
    feature_distance,
)
from human_edge_detection.advanced.distillation_terms.kl import kl_divergence
from human_edge_detection.advanced.distillation_terms.relation import relation_loss


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def test_decoupled_kl_by_hand() -> None:
    student, teacher = logits_of(0.5, 0.25, 0.25), logits_of(0.8, 0.15, 0.05)
    target = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    others = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    value = decoupled_kl(student, teacher, torch.tensor([0]), 1.0, target_weight=2.0, nontarget_weight=3.0)
    assert float(value) == pytest.approx(2.0 * target + 3.0 * others)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_decoupled_kl_put_together_again_is_kl(temperature: float) -> None:
    # Plain KL = TCKD + (1 - p) NCKD with the teacher's softened p of the true class, the paper's decomposition.
    student, teacher, label = random(1, 4, seed=1), random(1, 4, seed=2), torch.tensor([2])
    rest = 1.0 - float((teacher / temperature).softmax(1)[0, 2])
    value = decoupled_kl(student, teacher, label, temperature, target_weight=1.0, nontarget_weight=rest)
    torch.testing.assert_close(value, kl_divergence(student, teacher, temperature))


def test_decoupled_kl_of_two_classes_is_kl_whatever_the_others_weigh() -> None:
    student, teacher = random(2, 2, 3, 3, seed=1), random(2, 2, 3, 3, seed=2)
    labels = torch.tensor([0, 1, 1]).expand(2, 3, 3)
    values = [decoupled_kl(student, teacher, labels, 2.0, nontarget_weight=weight) for weight in (0.0, 8.0)]
    torch.testing.assert_close(values, [kl_divergence(student, teacher, 2.0)] * 2)


def test_decoupled_kl_sees_what_a_sure_teacher_knows_of_the_other_classes() -> None:
    student, teacher = logits_of(0.998, 0.001, 0.001), logits_of(0.998, 0.0018, 0.0002)
    label = torch.tensor([0])
    assert float(decoupled_kl(student, teacher, label, 1.0)) > 100 * float(kl_divergence(student, teacher, 1.0))


def test_relation_by_hand() -> None:
    # Two positions of three classes.
    teacher = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=torch.float64)
    student = torch.tensor([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]], dtype=torch.float64)

    def pearson(a: Tensor, b: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a, b]))[0, 1])

    inter = sum(1.0 - pearson(student[row], teacher[row]) for row in range(2)) / 2
    intra = sum(1.0 - pearson(student[:, column], teacher[:, column]) for column in range(3)) / 3
    value = relation_loss(student.log(), teacher.log(), 1.0, inter_weight=2.0, intra_weight=3.0)
    assert float(value) == pytest.approx(2.0 * inter + 3.0 * intra, rel=1e-6)


def test_relation_forgives_a_student_that_is_less_sure() -> None:
    # Probabilities half way to uniform: the same order and proportions.
    teacher = random(2, 3, 4, 4, seed=1).softmax(1)
    student = 0.5 * teacher + 0.5 / 3
    assert float(relation_loss(student.log(), teacher.log(), 1.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(kl_divergence(student.log(), teacher.log(), 1.0)) > 0.01


def test_relation_of_two_classes_is_that_of_positions_alone() -> None:
    student, teacher = random(2, 2, 3, 3, seed=1), random(2, 2, 3, 3, seed=2)
    values = [relation_loss(student, teacher, 1.0, inter_weight=weight) for weight in (0.0, 5.0)]
    torch.testing.assert_close(values[0], values[1])
    assert float(values[0]) > 0.1


def test_channel_wise_by_hand() -> None:
    # One roi, one channel, two positions: (1/2, 1/2) taught (3/4, 1/4).
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[math.log(3.0), 0.0]]]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(channel_wise_divergence(student, teacher, 1.0)) == pytest.approx(expected, rel=1e-6)
    assert float(channel_wise_divergence(student, 2.0 * teacher, 2.0)) == pytest.approx(4.0 * expected, rel=1e-6)


def test_channel_wise_ignores_a_constant_of_a_channel_and_rois_without_positions() -> None:
    student, teacher = random(2, 3, 4, 4, seed=1), random(2, 3, 4, 4, seed=2)
    value = channel_wise_divergence(student, teacher, 4.0)
    torch.testing.assert_close(channel_wise_divergence(student + random(2, 3, 1, 1, seed=3), teacher, 4.0), value)
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    mask[1] = False
    alone = channel_wise_divergence(student[:1], teacher[:1], 4.0)
    torch.testing.assert_close(channel_wise_divergence(student, teacher, 4.0, mask=mask), alone)


def test_channel_wise_needs_positions() -> None:
    with pytest.raises(ValueError, match=r"compares positions; got \(4, 3\)"):
        channel_wise_divergence(torch.zeros(4, 3), torch.zeros(4, 3), 4.0)


def test_boundary_kl_is_a_mean_for_the_edge_and_one_for_the_body() -> None:
    student, teacher = random(2, 3, 4, 4, seed=1), random(2, 3, 4, 4, seed=2)
    edge = torch.zeros(2, 4, 4)
    edge[:, :, 0] = 1.0
    parts = [kl_divergence(student[..., columns], teacher[..., columns], 4.0) for columns in (slice(1), slice(1, 4))]
    value = boundary_kl(student, teacher, edge, 4.0, edge_weight=3.0, body_weight=0.5)
    torch.testing.assert_close(value, 3.0 * parts[0] + 0.5 * parts[1])


def test_boundary_kl_without_a_border_is_the_body_alone() -> None:
    student, teacher = random(2, 3, 4, 4, seed=1), random(2, 3, 4, 4, seed=2)
    value = boundary_kl(student, teacher, torch.zeros(2, 4, 4), 4.0)
    torch.testing.assert_close(value, 0.5 * kl_divergence(student, teacher, 4.0))


def test_feature_distance_by_hand() -> None:
    teacher = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
    student = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1)
    assert float(feature_distance(student, teacher)) == pytest.approx((1.0 + 4.0) / (1.0 + 9.0))
    assert float(feature_distance(torch.zeros_like(teacher), teacher)) == 1.0


def test_attention_by_hand() -> None:
    # Squares summed over channels: (4, 3) and (1, 0); normalised (0.8, 0.6) and (1, 0): 0.2 squared + 0.6 squared.
    student = torch.tensor([[2.0, 1.0], [0.0, math.sqrt(2.0)]]).view(1, 2, 1, 2)
    teacher = torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 2)
    assert float(attention_distance(student, teacher)) == pytest.approx(0.4, rel=1e-6)


def test_an_adapter_starts_as_the_identity() -> None:
    maps = torch.randn(2, 16, 3, 3)
    torch.testing.assert_close(FeatureAdapter(16, 16)(maps), maps)


def test_the_relation_of_many_positions_is_finite_under_fp16() -> None:
    """40 rois of 160 x 120: the sum of a class over all of them is beyond what float16 can hold."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(40, 3, 160, 120, generator=generator) for _ in range(2))
    mask = torch.ones(40, 160, 120, dtype=torch.bool)
    expected = relation_loss(student, teacher, 1.0, mask=mask)
    with torch.autocast("cpu", torch.float16):
        assert float(relation_loss(student, teacher, 1.0, mask=mask)) == pytest.approx(float(expected), rel=1e-5)
