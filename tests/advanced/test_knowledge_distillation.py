import logging
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.knowledge_distillation import (
    AveragedTeachers,
    DistillationLoss,
    FrozenTeacher,
    HeadTarget,
    MirroredTeacher,
    kl_divergence,
    two_class_logits,
)
from human_edge_detection.experiments.schema.distillation import (
    AtConfig,
    BpkdConfig,
    CwdConfig,
    DistConfig,
    DkdConfig,
    FeatConfig,
    KlConfig,
    StdConfig,
    TermSettings,
)
from human_edge_detection.structures import DECODER_FEATURES, IGNORE, LossOutput, LossTerm, SegmentationOutput

ALL_HEADS = {"main": 1.0, "bg_fg": 0.3, "target_nontarget": 0.3, "full_image": 0.3}


def test_a_binary_logit_as_two_classes_has_the_same_probability() -> None:
    logit = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.softmax(two_class_logits(logit), 1)[:, 1:], logit.sigmoid())


def prediction(
    seed: int, *, rois: int = 2, heads: tuple[str, ...] = ("bg_fg", "target_nontarget")
) -> SegmentationOutput:
    generator = torch.Generator().manual_seed(seed)
    aux = {f"{head}_logits": torch.randn(rois, 2, 6, 4, generator=generator) for head in heads if rois}
    aux["full_image_logits"] = torch.randn(2, 1, 8, 8, generator=generator)
    return SegmentationOutput(torch.randn(rois, 3, 6, 4, generator=generator), aux)


def base_loss() -> LossOutput:
    return LossOutput(
        tuple(LossTerm(f"term{number}", torch.tensor(0.1 * (number + 1)), 1.0, "rois") for number in range(3))
    )


def taught(loss: LossOutput) -> list[str]:
    """Names of the terms that the teacher gave."""
    return [term.name for term in loss.terms if term.source == "teacher"]


FOREGROUND = torch.ones(2, 6, 4, dtype=torch.bool)


def truth(foreground: Tensor = FOREGROUND) -> dict[str, HeadTarget]:
    """Everybody on the images is the target."""

    def head(labels: Tensor, applicable: Tensor | None = None) -> HeadTarget:
        return HeadTarget(labels, lambda width: torch.zeros_like(labels), applicable)

    people = foreground.long()
    return {
        "main": head(people),
        "bg_fg": head(people),
        "target_nontarget": head((people - 1).where(foreground, IGNORE), foreground),
        "full_image": head(torch.ones(2, 8, 8, dtype=torch.long)),
    }


def distil(
    alpha: float,
    weights: dict[str, float] = ALL_HEADS,
    terms: tuple[TermSettings, ...] = (KlConfig(),),
    **outputs: SegmentationOutput,
) -> LossOutput:
    student, teacher = outputs.get("student", prediction(1)), outputs.get("teacher", prediction(2))
    loss = DistillationLoss(weights, terms)
    targets = truth(FOREGROUND[: len(student.logits)])
    return loss(student, teacher, targets, base_loss(), temperature=4.0, alpha=alpha)


def test_alpha_zero_is_the_base_loss() -> None:
    assert torch.equal(distil(0.0).total, base_loss().total)


def test_alpha_one_is_the_weighted_divergence_alone() -> None:
    student, teacher = prediction(1), prediction(2)
    expected = kl_divergence(student.logits, teacher.logits, 4.0)
    for head in ("bg_fg", "target_nontarget"):
        expected = expected + 0.3 * kl_divergence(student.aux[f"{head}_logits"], teacher.aux[f"{head}_logits"], 4.0)
    full = [two_class_logits(output.aux["full_image_logits"]) for output in (student, teacher)]
    expected = expected + 0.3 * kl_divergence(full[0], full[1], 4.0)
    torch.testing.assert_close(distil(1.0).total, expected)


def test_alpha_between_mixes_the_two() -> None:
    mixed = distil(0.7)
    torch.testing.assert_close(mixed.total, 0.7 * distil(1.0).total + 0.3 * base_loss().total)
    assert set(mixed.values) == {"term0", "term1", "term2", *(f"distill/{head}" for head in ALL_HEADS)}
    torch.testing.assert_close(mixed.values["term0"], base_loss().values["term0"])
    torch.testing.assert_close(torch.stack([term.weighted for term in mixed.terms]).sum(), mixed.total)


def test_a_head_with_weight_zero_is_left_out() -> None:
    loss = distil(1.0, {"main": 1.0, "bg_fg": 0.0})
    assert taught(loss) == ["distill/main"]


def test_target_or_not_is_distilled_over_foreground_only() -> None:
    loss = partial(DistillationLoss({"target_nontarget": 1.0}), temperature=1.0, alpha=1.0)
    foreground = torch.zeros_like(FOREGROUND)
    foreground[:, :2] = True
    student, teacher = prediction(1), prediction(2)
    other = prediction(1)
    other.aux["target_nontarget_logits"][:, :, 2:] += 5.0 * torch.randn(2, 2, 4, 4)
    values = [loss(output, teacher, truth(foreground), base_loss()).total for output in (student, other)]
    assert torch.equal(*values)
    assert not torch.equal(loss(student, teacher, truth(), base_loss()).total, values[0])


def test_heads_of_one_model_only_are_skipped_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    loss = partial(DistillationLoss(ALL_HEADS), temperature=4.0, alpha=1.0)
    plain = prediction(2, heads=())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            terms = taught(loss(prediction(1), plain, truth(), base_loss()))
    assert terms == ["distill/main", "distill/full_image"]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all("the teacher has none" in message for message in messages)


def test_heads_of_which_a_partial_teacher_says_nothing_are_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    loss = DistillationLoss(ALL_HEADS)
    with caplog.at_level(logging.WARNING):
        said = loss(
            prediction(1), prediction(2, heads=()), truth(), base_loss(), temperature=4.0, alpha=1.0, partial=True
        )
    assert taught(said) == ["distill/main", "distill/full_image"]
    assert not caplog.messages


def with_detector(output: SegmentationOutput) -> SegmentationOutput:
    maps = {"centre_logits": torch.linspace(-6.0, 2.0, 8).view(2, 1, 2, 2), "person_boxes": torch.rand(2, 4, 2, 2)}
    return SegmentationOutput(output.logits, {**output.aux, **maps})


def test_a_detector_is_distilled_where_both_have_one_and_missed_only_by_a_student_that_has_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    student, teacher = prediction(1), prediction(2)
    centres = torch.zeros(2, 2, 2, dtype=torch.long)
    targets = truth() | {"detector": HeadTarget(centres, lambda width: torch.zeros_like(centres))}

    def terms(student: SegmentationOutput, teacher: SegmentationOutput) -> list[str]:
        loss = DistillationLoss({**ALL_HEADS, "detector": 0.3})
        with caplog.at_level(logging.WARNING):
            return taught(loss(student, teacher, targets, base_loss(), temperature=4.0, alpha=1.0))

    both = terms(with_detector(student), with_detector(teacher))
    assert both == [*terms(student, with_detector(teacher)), "distill/detector"]
    assert not caplog.messages
    assert "distill/detector" not in terms(with_detector(student), teacher)
    assert caplog.messages == ["distillation head detector is skipped: the teacher has none"]


def test_a_batch_without_rois_distils_the_full_image_and_blames_no_model(caplog: pytest.LogCaptureFixture) -> None:
    loss = distil(0.7, student=prediction(1, rois=0), teacher=prediction(2, rois=0))
    assert taught(loss) == ["distill/full_image"]
    assert not caplog.records


def test_a_batch_with_nothing_to_learn_from_costs_zero() -> None:
    loss = partial(DistillationLoss({"main": 1.0}), temperature=4.0, alpha=0.5)
    total = loss(prediction(1, rois=0), prediction(2, rois=0), truth(FOREGROUND[:0]), LossOutput()).total
    assert float(total) == 0.0


def test_an_unknown_head_is_an_error() -> None:
    with pytest.raises(ValueError, match="contour"):
        DistillationLoss({"contour": 1.0})


def with_features(output: SegmentationOutput, seed: int) -> SegmentationOutput:
    features = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(seed))
    return output._replace(aux={**output.aux, DECODER_FEATURES: features})


def test_terms_add_up_and_are_named_by_kind_and_head() -> None:
    terms = (KlConfig(), DkdConfig(weight=0.5, heads=("main", "full_image")), StdConfig(weight=2.0))
    loss = distil(1.0, terms=terms)
    plain = [f"distill/{head}" for head in ALL_HEADS]
    assert taught(loss) == [*plain, "distill/dkd/main", "distill/dkd/full_image", "distill/std/main"]
    decoupled = 0.5 * loss.values["distill/dkd/main"] + 0.5 * 0.3 * loss.values["distill/dkd/full_image"]
    expected = distil(1.0).total + decoupled + 2.0 * loss.values["distill/std/main"]
    torch.testing.assert_close(loss.total, expected)


def test_the_features_go_through_the_adapter_which_learns() -> None:
    student, teacher = with_features(prediction(1), 3), with_features(prediction(2), 4)
    distillation = DistillationLoss(ALL_HEADS, (FeatConfig(), AtConfig()))
    loss = partial(distillation, temperature=4.0, alpha=0.5)
    assert distillation.needs_features
    first = loss(student, teacher, truth(), base_loss())
    assert taught(first) == ["distill/feat", "distill/at"]
    assert {term.over for term in first.terms if term.source == "teacher"} == {"images"}
    optimizer = torch.optim.SGD(distillation.parameters(), 0.1)
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(loss(student, teacher, truth(), base_loss()).total)
        optimizer.step()
    last = loss(student, teacher, truth(), base_loss())
    assert float(last.values["distill/feat"]) < float(first.values["distill/feat"])
    assert torch.equal(last.values["distill/at"], first.values["distill/at"])


def test_making_an_adapter_draws_no_random_number() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    loss = DistillationLoss({}, (FeatConfig(),))
    assert torch.equal(torch.rand(3), expected)
    assert len(loss.parameters()) == 2
    assert not DistillationLoss({}, (AtConfig(),)).parameters()


def test_which_terms_are_means_over_images() -> None:
    loss = distil(0.5, terms=(KlConfig(), DkdConfig()))
    over = {term.name: term.over for term in loss.terms if term.source == "teacher"}
    assert {name for name, unit in over.items() if unit == "images"} == {"distill/full_image", "distill/dkd/full_image"}


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
        return SegmentationOutput(
            logits, {"full_image_logits": full, "bg_fg_logits": logits[:, :2], "centre_logits": full[..., ::4, ::4]}
        )


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


class Constant(nn.Module):
    """Gives the first class of every roi, and a person on every pixel, the same probability."""

    def __init__(self, probability: float, heads: tuple[str, ...]) -> None:
        super().__init__()
        self.probability, self.heads = probability, heads

    def forward(self, images: Tensor, rois: Tensor) -> SegmentationOutput:
        sure, unsure = self.probability, 1.0 - self.probability
        # A constant added to all classes changes no probability.
        three = torch.tensor([sure, unsure / 2, unsure / 2]).log().view(1, 3, 1, 1) + 5.0
        two = torch.tensor([sure, unsure]).log().view(1, 2, 1, 1) - 2.0
        aux = {name: two.expand(len(rois), 2, 6, 4) for name in self.heads}
        aux["full_image_logits"] = torch.full((len(images), 1, 8, 8), math.log(sure / unsure))
        return SegmentationOutput(three.expand(len(rois), 3, 6, 4), aux)


def constant_teacher(probability: float, *heads: str) -> FrozenTeacher:
    return FrozenTeacher(Constant(probability, heads), image_size=(8, 8))


def test_several_teachers_answer_with_the_mean_of_their_probabilities() -> None:
    one, other = constant_teacher(0.9, "bg_fg_logits", "target_nontarget_logits"), constant_teacher(0.5, "bg_fg_logits")
    teachers = AveragedTeachers([one, other])
    output = teachers(torch.rand(2, 3, 8, 8), torch.zeros(3, 5), mask_size=(6, 4))
    assert set(output.aux) == {"full_image_logits", "bg_fg_logits"}
    torch.testing.assert_close(output.logits.softmax(1)[0, :, 0, 0], torch.tensor([0.7, 0.15, 0.15]))
    torch.testing.assert_close(output.aux["bg_fg_logits"].softmax(1)[0, :, 0, 0], torch.tensor([0.7, 0.3]))
    torch.testing.assert_close(output.aux["full_image_logits"].sigmoid(), torch.full((2, 1, 8, 8), 0.7))
    assert teachers(torch.rand(2, 3, 8, 8), torch.zeros(0, 5), mask_size=(6, 4)).logits.shape[0] == 0
    with pytest.raises(ValueError, match="2 teachers have no features in common"):
        teachers(torch.rand(2, 3, 8, 8), torch.zeros(3, 5), mask_size=(6, 4), features=True)


class LeftBrighter(nn.Module):
    """Says of each pixel, and of each roi, how bright it is; with a bias that depends on the column."""

    def forward(self, images: Tensor, rois: Tensor) -> SegmentationOutput:
        slope = torch.linspace(0.0, 1.0, images.shape[-1])
        crops = roi_align(images, rois[:, :1].long(), rois[:, 1:] * images.shape[-1])
        return SegmentationOutput(crops + slope[: crops.shape[-1]], {"full_image_logits": images[:, :1] + slope})


def roi_align(images: Tensor, owners: Tensor, boxes: Tensor) -> Tensor:
    """Crops of four columns that begin at whole pixels."""
    starts = boxes[:, 0].round().long().tolist()
    return torch.stack([images[int(owner), :, :, x : x + 4] for owner, x in zip(owners, starts, strict=True)])


def test_a_mirrored_teacher_sees_the_mirror_image_of_image_and_boxes() -> None:
    frozen = FrozenTeacher(LeftBrighter(), image_size=(8, 8))
    images = torch.rand(2, 3, 8, 8)
    rois = torch.tensor([[0, 0.125, 0, 0.625, 1], [1, 0.5, 0, 1, 1]], dtype=torch.float32)
    plain = frozen(images, rois, mask_size=(8, 4))
    output = MirroredTeacher(frozen)(images, rois, mask_size=(8, 4))
    slope = torch.linspace(0.0, 1.0, 8)
    torch.testing.assert_close(output.aux["full_image_logits"], images[:, :1] + slope.flip(0))
    torch.testing.assert_close(output.logits, plain.logits - slope[:4] + slope[:4].flip(0))
    both = AveragedTeachers([frozen, MirroredTeacher(frozen)])(images, rois, mask_size=(8, 4)).aux["full_image_logits"]
    expected = (plain.aux["full_image_logits"].sigmoid() + output.aux["full_image_logits"].sigmoid()) / 2
    torch.testing.assert_close(both.sigmoid(), expected)


def test_a_teacher_twice_teaches_what_it_teaches_alone() -> None:
    student, one = torch.randn(3, 3, 6, 4), constant_teacher(0.8)
    images, rois = torch.rand(2, 3, 8, 8), torch.zeros(3, 5)
    alone = one(images, rois, mask_size=(6, 4)).logits
    both = AveragedTeachers([one, one])(images, rois, mask_size=(6, 4)).logits
    torch.testing.assert_close(kl_divergence(student, both, 4.0), kl_divergence(student, alone, 4.0))


def test_a_teacher_with_larger_images_answers_at_the_students_size() -> None:
    model = Recorder()
    teacher = FrozenTeacher(model, image_size=(64, 96))
    output = teacher(torch.rand(2, 3, 64, 96), torch.zeros(4, 5), mask_size=(12, 6), image_size=(32, 48))
    assert model.sizes == [(64, 96)]
    assert output.aux["full_image_logits"].shape == (2, 1, 32, 48)
    assert output.aux["centre_logits"].shape == (2, 1, 8, 12)


# --- a threshold of confidence -------------------------------------------------------------------------------------


def test_only_sure_answers_count() -> None:
    """The teacher is sure in the upper half: what student and teacher say below changes nothing."""
    student, teacher = prediction(1), prediction(2)
    teacher = teacher._replace(aux={name: logits.clone() for name, logits in teacher.aux.items()})
    sure = torch.zeros(teacher.logits.shape[-2:], dtype=torch.bool)
    sure[:2] = True
    logits = torch.where(sure, torch.tensor([8.0, 0.0, 0.0]).view(1, 3, 1, 1), 0.1 * teacher.logits)
    teacher = teacher._replace(logits=logits)
    other = student._replace(logits=torch.where(sure, student.logits, torch.randn_like(student.logits)))
    loss = partial(DistillationLoss({"main": 1.0}, confidence_threshold=0.9), temperature=4.0, alpha=1.0)
    found = loss(student, teacher, truth(), base_loss())
    assert float(found.values["confident/main"]) == pytest.approx(float(sure.float().mean()))
    expected = kl_divergence(student.logits, logits, 4.0, mask=sure.expand(len(logits), -1, -1))
    torch.testing.assert_close(found.total, expected)
    assert torch.equal(found.total, loss(other, teacher, truth(), base_loss()).total)


@pytest.mark.parametrize("term", [KlConfig(), DkdConfig(), CwdConfig(), StdConfig()])
def test_a_threshold_that_all_pass_changes_nothing_and_one_that_none_passes_leaves_nothing(term: TermSettings) -> None:
    def loss(threshold: float | None) -> LossOutput:
        distillation = DistillationLoss(ALL_HEADS, (term,), confidence_threshold=threshold)
        return distillation(prediction(1), prediction(2), truth(), base_loss(), temperature=4.0, alpha=1.0)

    assert torch.equal(loss(1e-6).total, loss(None).total)
    assert float(loss(1.0).total) == 0.0
    assert loss(None).confident == ()
    assert {share.name for share in loss(1.0).confident} == {f"confident/{head}" for head in ALL_HEADS}


@pytest.mark.parametrize("term", [KlConfig(), DkdConfig(), DistConfig(), CwdConfig(), StdConfig(), BpkdConfig()])
def test_where_a_teacher_says_nothing_no_term_of_logits_counts(term: TermSettings) -> None:
    student, teacher = prediction(1), prediction(2)
    silent = torch.zeros(*teacher.logits.shape[-2:], dtype=torch.bool)
    silent[: silent.shape[0] // 2] = True
    loss = partial(DistillationLoss({"main": 1.0}, (term,)), temperature=4.0, alpha=1.0, partial=True)
    says = teacher._replace(logits=teacher.logits.masked_fill(silent, torch.nan))
    other = student._replace(logits=torch.where(silent, torch.randn_like(student.logits), student.logits))
    found = loss(student, says, truth(), base_loss()).total
    assert found.isfinite()
    assert torch.equal(found, loss(other, says, truth(), base_loss()).total)
    assert not torch.equal(found, loss(student, teacher, truth(), base_loss()).total)
    own = student.logits.detach().requires_grad_()
    loss(student._replace(logits=own), says, truth(), base_loss()).total.backward()
    assert own.grad is not None
    assert own.grad.isfinite().all()
    assert not own.grad[..., silent].any()
    nothing = teacher._replace(logits=torch.full_like(teacher.logits, torch.nan))
    assert float(loss(student, nothing, truth(), base_loss()).total) == 0.0


def test_a_teacher_without_the_main_head_teaches_the_others() -> None:
    teacher = prediction(2)
    without = teacher._replace(logits=teacher.logits[:0])
    loss = partial(DistillationLoss(ALL_HEADS), temperature=4.0, alpha=1.0)
    names = {term.name for term in loss(prediction(1), without, truth(), base_loss()).terms if term.source == "teacher"}
    assert names == {f"distill/{head}" for head in ALL_HEADS if head != "main"}
