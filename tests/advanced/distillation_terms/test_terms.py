"""What holds for every term: 0 for equal answers, no dependence on the size, an exact gradient, masks."""

from functools import partial

import pytest
import torch
from torch import Tensor

from human_edge_detection.advanced.distillation_terms import terms
from human_edge_detection.advanced.distillation_terms.positions import HeadTarget
from human_edge_detection.experiments.schema.distillation import (
    TERM_CONFIGS,
    FeatureTermSettings,
    KlConfig,
    LogitTermSettings,
)
from human_edge_detection.structures import IGNORE

LogitTerm = partial[Tensor]
FeatureTerm = terms.FeatureTerm


def logit_term(settings: LogitTermSettings) -> LogitTerm:
    return partial(terms.LOGIT_TERMS[type(settings)], settings)


LOGIT_TERMS = [
    section.model_validate({}) for section in TERM_CONFIGS.values() if issubclass(section, LogitTermSettings)
]
FEATURE_TERMS = [section for section in TERM_CONFIGS.values() if issubclass(section, FeatureTermSettings)]
LOGITS = pytest.mark.parametrize(
    "term", [pytest.param(logit_term(settings), id=settings.kind) for settings in LOGIT_TERMS]
)
FEATURES = pytest.mark.parametrize(
    "term",
    [pytest.param(terms.FEATURE_TERMS[section], id=section.model_validate({}).kind) for section in FEATURE_TERMS],
)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth_of(labels: Tensor, applicable: Tensor | None = None) -> HeadTarget:
    """The first two of every four columns are the border band."""

    def band(width: int) -> Tensor:
        return (torch.arange(labels.shape[-1]) % 4 < width).expand(labels.shape).float()

    return HeadTarget(labels, band, applicable)


def example(classes: int = 3) -> tuple[Tensor, Tensor, HeadTarget]:
    labels = torch.randint(classes, (2, 4, 4), generator=torch.Generator().manual_seed(7))
    return random(2, classes, 4, 4, seed=1), random(2, classes, 4, 4, seed=2), truth_of(labels)


def slope_of(term: LogitTerm, student: Tensor, teacher: Tensor, truth: HeadTarget, temperature: float) -> Tensor:
    leaf = student.clone().requires_grad_()
    (slope,) = torch.autograd.grad(term(leaf, teacher, truth, temperature), leaf)
    return slope


def test_each_kind_of_settings_has_its_function() -> None:
    assert set(TERM_CONFIGS.values()) == {*terms.LOGIT_TERMS, *terms.FEATURE_TERMS}


@LOGITS
def test_equal_logits_have_nothing_to_learn(term: LogitTerm) -> None:
    student, teacher, truth = example()
    assert float(term(teacher, teacher, truth, 4.0)) == pytest.approx(0.0, abs=1e-9)
    slope = slope_of(term, teacher, teacher, truth, 4.0)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-8, rtol=0.0)
    assert float(term(student, teacher, truth, 4.0)) > 1e-3


@LOGITS
@pytest.mark.parametrize("axis", [0, 2, 3], ids=["N", "H", "W"])
def test_doubling_a_size_does_not_change_a_term(term: LogitTerm, axis: int) -> None:
    student, teacher, truth = example()
    doubled = truth_of(torch.cat([truth.labels] * 2, max(axis - 1, 0)))
    twice = [torch.cat([maps, maps], axis) for maps in (student, teacher)]
    torch.testing.assert_close(term(twice[0], twice[1], doubled, 4.0), term(student, teacher, truth, 4.0))


@LOGITS
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_that_of_finite_differences(term: LogitTerm, temperature: float) -> None:
    student, teacher, truth = example()
    truth.labels[0, 0, 0] = IGNORE
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: term(logits, teacher, truth, temperature), (student,))


@LOGITS
@pytest.mark.parametrize("classes", [2, 3])
def test_the_gradient_is_finite_for_sure_answers_in_single_precision(term: LogitTerm, classes: int) -> None:
    if term.args[0].kind == "std" and classes == 2:
        pytest.skip("refused")
    student, teacher, truth = example(classes)
    for factor in (1.0, 200.0, 0.0):
        logits, sure = factor * student.float(), 200.0 * teacher.float()
        assert bool(term(logits, sure, truth, 1.0).isfinite())
        assert bool(slope_of(term, logits, sure, truth, 1.0).isfinite().all())


@LOGITS
def test_no_gradient_reaches_the_teacher_and_shapes_must_agree(term: LogitTerm) -> None:
    student, teacher, truth = example()
    teacher.requires_grad_()
    torch.autograd.backward(term(student.requires_grad_(), teacher, truth, 4.0))
    assert teacher.grad is None
    with pytest.raises(ValueError, match="logits differ"):
        term(student, teacher[:, :, :1], truth, 4.0)


@LOGITS
def test_positions_that_do_not_count_change_nothing(term: LogitTerm) -> None:
    student, teacher, truth = example()
    ignored = torch.zeros(2, 4, 4, dtype=torch.bool)
    ignored[:, 1] = True
    labels = truth.labels.masked_fill(ignored, IGNORE)
    # Plain KL counts what the annotations ignore, but not what the head is not asked about.
    masked = truth_of(labels, ~ignored)
    other = student + 5.0 * ignored[:, None] * random(2, 3, 4, 4, seed=3)
    value = term(student, teacher, masked, 4.0)
    torch.testing.assert_close(term(other, teacher, masked, 4.0), value)
    kept = [torch.cat([maps[:, :, :1], maps[:, :, 2:]], 2) for maps in (student, teacher)]
    without = truth_of(torch.cat([labels[:, :1], labels[:, 2:]], 1))
    torch.testing.assert_close(term(kept[0], kept[1], without, 4.0), value)
    assert not torch.allclose(term(other, teacher, truth, 4.0), term(student, teacher, truth, 4.0))


@LOGITS
@pytest.mark.parametrize("rois", [0, 2])
def test_where_nothing_counts_a_term_is_zero_with_a_gradient_of_zero(term: LogitTerm, rois: int) -> None:
    student, teacher, _ = example()
    nothing = truth_of(torch.full((rois, 4, 4), IGNORE), torch.zeros(rois, 4, 4, dtype=torch.bool))
    assert float(term(student[:rois], teacher[:rois], nothing, 4.0)) == 0.0
    assert not slope_of(term, student[:rois], teacher[:rois], nothing, 4.0).any()


@LOGITS
def test_the_gradient_keeps_its_size_at_high_temperatures(term: LogitTerm) -> None:
    student, teacher, truth = example()
    sizes = [float(slope_of(term, student, teacher, truth, temperature).norm()) for temperature in (20.0, 40.0, 80.0)]
    assert sizes == pytest.approx([sizes[0]] * 3, rel=0.08)


@LOGITS
def test_the_gradient_is_of_the_size_of_that_of_plain_kl(term: LogitTerm) -> None:
    example_ = example()
    size, plain = (float(slope_of(each, *example_, 4.0).norm()) for each in (term, logit_term(KlConfig())))
    assert 0.3 < size / plain < 10.0


def features() -> tuple[Tensor, Tensor]:
    return random(2, 5, 4, 6, seed=1), random(2, 5, 4, 6, seed=2)


@FEATURES
def test_equal_features_have_nothing_to_learn(term: FeatureTerm) -> None:
    student, teacher = features()
    assert float(term(teacher, teacher)) == pytest.approx(0.0, abs=1e-12)
    assert float(term(student, teacher)) > 1e-3


@FEATURES
@pytest.mark.parametrize("axis", [0, 2, 3], ids=["N", "H", "W"])
def test_doubling_a_size_does_not_change_a_term_of_features(term: FeatureTerm, axis: int) -> None:
    student, teacher = features()
    twice = [torch.cat([maps, maps], axis) for maps in (student, teacher)]
    torch.testing.assert_close(term(twice[0], twice[1]), term(student, teacher))


@FEATURES
def test_the_unit_of_the_features_does_not_matter(term: FeatureTerm) -> None:
    student, teacher = features()
    torch.testing.assert_close(term(7.0 * student, 7.0 * teacher), term(student, teacher))


@FEATURES
def test_the_gradient_of_features_is_that_of_finite_differences(term: FeatureTerm) -> None:
    student, teacher = features()
    assert torch.autograd.gradcheck(lambda maps: term(maps, teacher), (student.requires_grad_(),))


@FEATURES
def test_features_of_another_size_are_an_error(term: FeatureTerm) -> None:
    student, teacher = features()
    with pytest.raises(ValueError, match=r"student .* and teacher .* differ"):
        term(student, teacher[:, :, :2])


@FEATURES
def test_features_of_nothing_have_a_finite_gradient(term: FeatureTerm) -> None:
    zeros = torch.zeros(2, 5, 4, 6, requires_grad=True)
    torch.autograd.backward(term(zeros, torch.zeros(2, 5, 4, 6)))
    assert zeros.grad is not None
    assert bool(zeros.grad.isfinite().all())
