from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from human_edge_detection.experiments.schema.heads import BY_KEY, HEADS
from human_edge_detection.experiments.schema.loss import BoundaryLossConfig, LossConfig
from human_edge_detection.losses.head_losses import foreground_labels, target_labels
from human_edge_detection.losses.hierarchical import HierarchicalLoss
from human_edge_detection.structures import IGNORE, Batch, Labelled, LossOutput, SegmentationOutput

pytestmark = pytest.mark.usefixtures("float64")

WEIGHTS = {head.name: head.loss_weight for head in HEADS if head.loss_weight is not None}
ALL_HEADS = WEIGHTS | {"contour": 0.5, "distance": 0.5}


def make_batch(rois: int = 3) -> Batch:
    """Own person left, another person in the middle, background right, one ignored row."""
    masks = torch.zeros(rois, 12, 9, dtype=torch.uint8)
    masks[:, :, :3] = 1
    masks[:, :, 3:6] = 2
    masks[:, 0] = IGNORE
    people = torch.zeros(2, 16, 16, dtype=torch.uint8)
    people[:, 4:12, 4:12] = 1
    people[:, :, 0] = IGNORE
    boxes = torch.tensor([0.0, 0.1, 0.1, 0.9, 0.9]).expand(rois, 5)
    return Batch(torch.zeros(2, 3, 16, 16), boxes, masks, people, (1, 2), tuple(range(rois)))


def make_output(rois: int = 3, *, seed: int = 0) -> SegmentationOutput:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    full = {"full_image_logits": random(2, 1, 16, 16)}
    if rois == 0:
        return SegmentationOutput(torch.zeros(0, 3, 12, 9), full)
    aux = {
        "bg_fg_logits": random(rois, 2, 12, 9),
        "target_nontarget_logits": random(rois, 2, 12, 9),
        "contour_logits": random(rois, 1, 12, 9),
        "distance": random(rois, 1, 12, 9),
    }
    return SegmentationOutput(random(rois, 3, 12, 9), full | aux)


def with_gradients(output: SegmentationOutput, loss: LossOutput) -> Mapping[str, Tensor | None]:
    heads = {"logits": output.logits, **output.aux}
    gradients = torch.autograd.grad(loss.total, list(heads.values()), allow_unused=True)
    return dict(zip(heads, gradients, strict=True))


def test_the_total_is_the_sum_of_the_weighted_terms() -> None:
    loss = HierarchicalLoss(ALL_HEADS, LossConfig(dice_weight=0.5))(make_output(), make_batch())
    torch.testing.assert_close(torch.stack([term.weighted for term in loss.terms]).sum(), loss.total)
    assert not any(value.requires_grad for value in loss.values.values())
    expected = {"main/ce": 1.0, "main/dice": 0.5, "bg_fg/ce": 0.3, "bg_fg/dice": 0.15, "full_image/bce": 0.5}
    expected |= {"full_image/dice": 0.25, "contour/bce": 0.5, "distance/smooth_l1": 0.5}
    weights = {term.name: term.weight for term in loss.terms}
    assert weights == pytest.approx(weights | expected)
    assert {term.name for term in loss.terms if term.over == "images"} == {"full_image/bce", "full_image/dice"}
    assert {term.source for term in loss.terms} == {"truth"}


def test_every_head_learns_and_a_head_with_weight_zero_does_not() -> None:
    output, batch = make_output(), make_batch()
    gradients = with_gradients(output, HierarchicalLoss(ALL_HEADS, LossConfig())(output, batch))
    assert all(gradient is not None and bool(gradient.any()) for gradient in gradients.values())
    only_main = WEIGHTS | {"bg_fg": 0.0, "target_nontarget": 0.0, "full_image": 0.0}
    gradients = with_gradients(output, HierarchicalLoss(only_main, LossConfig())(output, batch))
    assert [name for name, gradient in gradients.items() if gradient is not None and gradient.any()] == ["logits"]


@pytest.mark.parametrize(
    "change",
    [
        {"settings": LossConfig(class_weights=(1.0, 2.0, 3.0))},
        {"settings": LossConfig(dice_weight=0.0)},
        {"settings": LossConfig(boundary=BoundaryLossConfig())},
        {"settings": LossConfig(boundary=BoundaryLossConfig(width=1))},
        {"weights": WEIGHTS | {"contour": 0.5}},
        {"weights": WEIGHTS | {"distance": 0.5}},
        {"weights": WEIGHTS | {"bg_fg": 0.0}},
    ],
    ids=str,
)
def test_each_setting_changes_the_loss_and_its_gradient(change: dict[str, Any]) -> None:
    output, batch = make_output(), make_batch()
    default: dict[str, Any] = {"weights": WEIGHTS, "settings": LossConfig()}
    plain, changed = HierarchicalLoss(**default)(output, batch), HierarchicalLoss(**default | change)(output, batch)
    assert float(plain.total.detach()) != pytest.approx(float(changed.total.detach()), rel=1e-4)
    before, after = with_gradients(output, plain), with_gradients(output, changed)
    assert any(not _same(before[name], after[name]) for name in before)


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and torch.allclose(a, b))


def test_pixels_near_a_border_weigh_more_in_the_main_head_only() -> None:
    output, batch = make_output(), make_batch()
    border = BoundaryLossConfig(weight=5.0, width=1)
    plain = HierarchicalLoss(WEIGHTS, LossConfig())(output, batch).values
    aware = HierarchicalLoss(WEIGHTS, LossConfig(boundary=border))(output, batch).values
    assert {name for name in plain if plain[name] != aware[name]} == {"main/ce"}


def test_perfect_answers_cost_nearly_nothing() -> None:
    batch = make_batch()
    masks = batch.roi_masks.long()
    masks[:, 0] = 0
    batch = batch._replace(roi_masks=masks.to(torch.uint8))
    logits = 30.0 * torch.nn.functional.one_hot(masks, 3).movedim(-1, 1).float()
    foreground, target = foreground_labels(masks), target_labels(masks).clamp(max=1)
    aux = {
        "full_image_logits": 60.0 * (batch.person_masks == 1)[:, None].float() - 30.0,
        "bg_fg_logits": 30.0 * torch.nn.functional.one_hot(foreground, 2).movedim(-1, 1).float(),
        "target_nontarget_logits": 30.0 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float(),
    }
    loss = HierarchicalLoss(WEIGHTS, LossConfig())(SegmentationOutput(logits, aux), batch)
    assert float(loss.total) == pytest.approx(0.0, abs=1e-4)


def test_ignored_pixels_teach_no_head_anything() -> None:
    output, batch = make_output(), make_batch()
    gradients = with_gradients(
        output, HierarchicalLoss(ALL_HEADS, LossConfig(boundary=BoundaryLossConfig()))(output, batch)
    )
    for name, gradient in gradients.items():
        assert gradient is not None
        ignored = gradient[..., 0] if name == "full_image_logits" else gradient[:, :, 0]
        assert not ignored.any(), name
    background = gradients["target_nontarget_logits"]
    assert background is not None
    assert not background[..., 6:].any(), "target or not is no question where nobody is"


def test_a_batch_without_rois_still_trains_the_full_image() -> None:
    output = make_output(rois=0)
    loss = HierarchicalLoss(ALL_HEADS, LossConfig())(output, make_batch(rois=0))
    assert list(loss.values) == ["full_image/bce", "full_image/dice"]
    (gradient,) = torch.autograd.grad(loss.total, output.aux["full_image_logits"])
    assert gradient.isfinite().all()
    assert gradient.any()


def test_a_batch_without_anything_to_learn_costs_zero() -> None:
    output = make_output(rois=0)
    loss = HierarchicalLoss(WEIGHTS | {"full_image": 0.0}, LossConfig())(output, make_batch(rois=0))
    assert loss.terms == ()
    assert float(loss.total) == 0.0


def test_labels_of_the_two_questions() -> None:
    masks = torch.tensor([[[0, 1, 2, IGNORE]]])
    assert foreground_labels(masks).tolist() == [[[0, 1, 1, IGNORE]]]
    assert target_labels(masks).tolist() == [[[IGNORE, 0, 1, IGNORE]]]


def with_another_image(batch: Batch, output: SegmentationOutput) -> tuple[Batch, SegmentationOutput]:
    """An image without labels before those of ``batch``, and two rois of it after theirs."""
    assert batch.person_boxes is not None
    nothing = {"rois": 2, "images": 1}
    aux = {}
    for key, value in output.aux.items():
        over = BY_KEY[key].over
        more = torch.ones_like(value[: nothing[over]])
        aux[key] = torch.cat([more, value] if over == "images" else [value, more])
    batch = batch._replace(
        roi_masks=torch.cat([batch.roi_masks, torch.full_like(batch.roi_masks[:2], IGNORE)]),
        person_masks=torch.cat([torch.full_like(batch.person_masks[:1], IGNORE), batch.person_masks]),
        person_boxes=torch.cat([torch.zeros_like(batch.person_boxes[:1]), batch.person_boxes]),
        labelled=Labelled(torch.tensor([1, 2]), torch.arange(len(batch.rois))),
    )
    return batch, SegmentationOutput(torch.cat([output.logits, torch.ones_like(output.logits[:2])]), aux)


def test_images_without_labels_change_no_mean() -> None:
    generator = torch.Generator().manual_seed(3)
    output, batch = make_output(), make_batch()
    found = {
        "centre_logits": torch.randn(2, 1, 4, 4, generator=generator),
        "person_boxes": torch.rand(2, 4, 4, 4, generator=generator),
    }
    output = output._replace(aux={**output.aux, **found})
    batch = batch._replace(person_boxes=torch.tensor([[[0.2, 0.2, 0.8, 0.9]]]).expand(2, 1, 4))
    loss = HierarchicalLoss({head.name: 1.0 for head in HEADS}, LossConfig(boundary=BoundaryLossConfig()))
    more, both = with_another_image(batch, output)
    alone, beside = loss(output, batch).values, loss(both, more).values
    assert alone.keys() == beside.keys() and {name.split("/")[0] for name in alone} == {head.name for head in HEADS}
    for name, value in alone.items():
        torch.testing.assert_close(beside[name], value, msg=name)


def test_of_images_without_labels_alone_the_truth_has_no_term() -> None:
    batch = make_batch()._replace(labelled=Labelled(torch.arange(0), torch.arange(0)))
    assert HierarchicalLoss(ALL_HEADS, LossConfig())(make_output(), batch).terms == ()
