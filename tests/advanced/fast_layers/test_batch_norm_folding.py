"""Folded normalisation: the same answers from a model without a BatchNorm."""

from typing import get_args

import pytest
import torch
from networks import with_statistics
from torch import nn

from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.experiments.schema.model import ModelConfig

QUICK = {"mobilenet_v2", "resnet18", "timm-efficientnet-b0", "timm-efficientnet-b3"}


@pytest.mark.parametrize(
    "encoder", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in get_args(Encoder)]
)
@pytest.mark.usefixtures("float64")
@torch.no_grad()
def test_every_encoder_answers_as_before(encoder: str) -> None:
    sizes = {"image_size": (64, 64), "roi_size": (16, 12), "mask_size": (32, 24)}
    config = ModelConfig.model_validate({"encoder": encoder, "contour": {}, **sizes})
    model = with_statistics(config)
    images, rois = torch.rand(2, 3, 64, 64), torch.tensor([[0.0, 0.1, 0.1, 0.6, 0.9], [1.0, 0.0, 0.0, 1.0, 1.0]])
    before = model(images, rois)
    after = fold_batch_norm(model)(images, rois)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(after.logits, before.logits, atol=1e-9, rtol=1e-9)
    for name, output in before.aux.items():
        torch.testing.assert_close(after.aux[name], output, atol=1e-9, rtol=1e-9)


def test_statistics_of_the_batch_cannot_be_folded() -> None:
    with pytest.raises(ValueError, match="evaluation mode only"):
        fold_batch_norm(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train())


def test_a_normalisation_of_something_else_stays() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
    ).eval()
    folded = fold_batch_norm(model)
    assert [type(layer).__name__ for layer in folded.children()] == [
        "Conv2d",
        "ReLU",
        "BatchNorm2d",
        "Conv2d",
        "Sequential",
    ]
