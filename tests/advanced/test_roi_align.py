"""RoIAlign as matrix products: what the operator of torchvision answers, gradients included."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from human_edge_detection.advanced.roi_align import SAMPLES, align_rois

SIZE = (16, 12)
MAPS = [(2, 3, 20, 33), (2, 5, 20, 33)]
ROIS = [
    [1.0, 0.2, 0.1, 0.6, 0.9],
    [0.0, 0.0, 0.0, 1.0, 1.0],
    [1.0, 0.5, 0.2, 0.51, 0.21],
    [0.0, -0.3, 0.4, 0.5, 1.4],  # partly outside
    [1.0, 1.2, 1.2, 1.5, 1.5],  # outside
]


def maps() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in MAPS]


def operator(planes: list[Tensor], rois: Tensor) -> Tensor:
    height, width = planes[0].shape[-2:]
    boxes = rois * torch.tensor([1.0, width, height, width, height])
    aligned: Tensor = roi_align(torch.cat(planes, dim=1), boxes, SIZE, sampling_ratio=SAMPLES, aligned=True)
    return aligned


@pytest.mark.parametrize("rois", [ROIS, ROIS[:1], ROIS[1:2]], ids=["mixed", "second image only", "first image only"])
def test_answers_and_gradients_are_those_of_the_operator(rois: list[list[float]]) -> None:
    boxes = torch.tensor(rois)
    ours, theirs = maps(), maps()
    outputs = [align_rois(ours, boxes, SIZE), operator(theirs, boxes)]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_bf16_is_the_same_to_its_precision() -> None:
    boxes = torch.tensor(ROIS)
    with torch.no_grad():
        plain = operator(maps(), boxes)
        with torch.autocast("cpu", torch.bfloat16):
            fast = align_rois(maps(), boxes, SIZE).float()
    assert (fast - plain).norm() <= 0.01 * plain.norm()


def test_rois_are_fractions_of_the_image_and_answers_in_their_order() -> None:
    halves = torch.zeros(2, 1, 32, 64)
    halves[1, :, :, :32] = 1.0
    rois = torch.tensor([[1.0, 0.05, 0.1, 0.4, 0.9], [0.0, 0.05, 0.1, 0.4, 0.9], [1.0, 0.6, 0.1, 0.95, 0.9]])
    aligned = align_rois([halves], rois, SIZE)
    assert aligned.shape == (3, 1, *SIZE)
    torch.testing.assert_close(aligned.mean((1, 2, 3)), torch.tensor([1.0, 0.0, 0.0]))
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 32, 64)
    middle = align_rois([ramp], torch.tensor([[0.0, 0.25, 0.25, 0.75, 0.75]]), SIZE)
    assert float(middle.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(middle[0, 0, 0, 0]) == pytest.approx(0.25 + 0.25 / SIZE[1], abs=0.01)
