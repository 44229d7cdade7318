"""The head of an exported model: the same logits as the head that was trained."""

from typing import Any

import pytest
import torch
from networks import with_statistics
from torch import nn

from human_edge_detection.advanced.deployed_head import deployed
from human_edge_detection.advanced.hierarchical_segmentation_rgb import aligned_channels
from human_edge_detection.advanced.hierarchical_segmentation_unet import HierarchicalHead, PlainHead
from human_edge_detection.experiments.schema.model import ModelConfig

pytestmark = pytest.mark.usefixtures("float64")

SIZES = {"image_size": (64, 64), "roi_size": (16, 12), "mask_size": (32, 24), "head_channels": 8}


def trained_head(**settings: Any) -> HierarchicalHead | PlainHead:
    model = with_statistics(ModelConfig.model_validate({"encoder": "mobilenet_v2", **SIZES, **settings}))
    assert isinstance(model.head, HierarchicalHead | PlainHead)
    return model.head


@pytest.mark.parametrize(
    "settings",
    [{}, {"contour": {}}, {"distance": {}}, {"contour": {}, "distance": {}}, {"head": "plain"}],
    ids=["two branches", "contour", "distance", "all branches", "plain"],
)
@torch.no_grad()
def test_the_logits_are_those_of_the_trained_head(settings: dict[str, Any]) -> None:
    head = trained_head(**settings)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    aligned = torch.randn(3, aligned_channels(16), 16, 12)
    logits, aux = deployed(head)(aligned)
    torch.testing.assert_close(logits, head(aligned)[0], atol=1e-10, rtol=1e-10)
    assert not aux
    assert head.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


@torch.no_grad()
def test_very_sure_answers_stay_finite() -> None:
    head = trained_head()
    assert isinstance(head, HierarchicalHead)
    branches: list[Any] = [head.bg_fg, head.target_nontarget]
    for branch in branches:
        branch.answer.weight.mul_(1e6)
    aligned = torch.randn(2, aligned_channels(16), 16, 12)
    expected = head(aligned)[0]
    assert expected.abs().max() > 1000
    torch.testing.assert_close(deployed(head)(aligned)[0], expected, atol=1e-6, rtol=1e-10)


def test_a_head_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode only"):
        deployed(trained_head().train())


def test_nothing_is_normalised_any_more() -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed(trained_head()).modules())
