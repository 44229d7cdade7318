"""Own teachers and an external one: all count alike where the external one speaks, the own ones alone elsewhere."""

import torch

from human_edge_detection.engine.teaching.external.mean import mean_with
from human_edge_detection.structures import SegmentationOutput


def output(main: torch.Tensor, **aux: torch.Tensor) -> SegmentationOutput:
    return SegmentationOutput(main, aux)


def test_the_mean_is_of_probabilities_and_of_all_teachers() -> None:
    own = torch.tensor([0.2, 0.5, 0.3]).log().reshape(1, 3, 1, 1).repeat(1, 1, 1, 2)
    said = torch.tensor([0.8, 0.2, 0.0001]).log().reshape(1, 3, 1, 1).repeat(1, 1, 1, 2)
    said[..., 1] = torch.nan
    for teachers, first in ((1, 0.5), (2, 0.4)):
        mean = mean_with(output(own), output(said), teachers=teachers).logits
        assert torch.isclose(mean.softmax(1)[0, 0, 0, 0], torch.tensor(first), atol=1e-3)
        assert torch.equal(mean[..., 1], own[..., 1])


def test_heads_that_one_of_them_lacks_are_the_others() -> None:
    main = torch.randn(2, 3, 4, 4)
    own = output(main, full_image_logits=torch.zeros(1, 1, 4, 4), contour_logits=torch.ones(2, 1, 4, 4))
    bg_fg = torch.randn(2, 2, 4, 4)
    said = output(torch.empty(0, 3, 1, 1), full_image_logits=torch.full((1, 1, 4, 4), 9.0), bg_fg_logits=bg_fg)
    both = mean_with(own, said)
    assert torch.equal(both.logits, main)
    assert torch.equal(both.aux["contour_logits"], own.aux["contour_logits"])
    assert torch.equal(both.aux["bg_fg_logits"], bg_fg)
    assert torch.allclose(both.aux["full_image_logits"].sigmoid(), torch.tensor(0.75), atol=1e-3)
