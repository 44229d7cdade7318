"""Models with a feature pyramid."""

import pytest
import torch

from human_edge_detection.engine.build import build_model
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.structures import DECODER_FEATURES

ROIS = torch.tensor([[0, 0.1, 0.1, 0.9, 0.9], [1, 0.0, 0.2, 0.5, 1.0], [1, 0.5, 0.0, 1.0, 0.7]])
IMAGES = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def pyramid(**fields: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "encoder": "timm-tf_efficientnet_lite0",
            "encoder_depth": 4,
            "decoder": {"kind": "fpn", "channels": 24},
            "feature_stride": 4,
            "image_size": (64, 96),
            "roi_size": (16, 12),
            "mask_size": (32, 24),
            "head_channels": 8,
            **fields,
        }
    )


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("encoder", ["timm-tf_efficientnet_lite0", "tu-mobilenetv4_conv_small", "resnet18"])
def test_features_have_the_stride_and_outputs_the_sizes_of_the_config(encoder: str, stride: int) -> None:
    model = build_model(pyramid(encoder=encoder, feature_stride=stride)).eval()
    output = model(IMAGES, ROIS, features=True)
    assert output.aux[DECODER_FEATURES].shape == (2, 24, 64 // stride, 96 // stride)
    assert output.aux["full_image_logits"].shape == (2, 1, 64, 96)
    assert output.logits.shape == (3, 3, 32, 24)


@pytest.mark.parametrize("encoder", ["timm-tf_efficientnet_lite0", "tu-mobilenetv4_conv_small"])
@pytest.mark.parametrize("depth", [4, 5])
def test_every_weight_of_it_learns(encoder: str, depth: int) -> None:
    """What the outputs do not depend on, as the stages that are left out, is no part of it."""
    model = build_model(pyramid(encoder=encoder, encoder_depth=depth))
    output = model(IMAGES, ROIS)
    (output.logits.sum() + output.aux["full_image_logits"].sum()).backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None]


def test_an_encoder_without_its_last_stage_has_its_other_outputs() -> None:
    whole, part = (build_model(pyramid(encoder_depth=depth)).eval().unet.unet.encoder for depth in (5, 4))
    part.load_state_dict({name: value for name, value in whole.state_dict().items() if name in part.state_dict()})
    for one, other in zip(whole(IMAGES), part(IMAGES), strict=False):
        assert torch.equal(one, other)


def test_the_head_sees_the_image_beyond_the_stride_of_the_features() -> None:
    model = build_model(pyramid()).eval()
    for part in (model.unet.unet.decoder, model.unet.unet.segmentation_head):
        for weight in part.parameters():
            torch.nn.init.zeros_(weight)
    assert not torch.equal(model(IMAGES, ROIS).logits, model(1 - IMAGES, ROIS).logits)


def test_the_last_shared_weight_reaches_every_output() -> None:
    model = build_model(pyramid()).eval()
    output = model(IMAGES, ROIS)
    for each in (output.logits, output.aux["full_image_logits"]):
        (gradient,) = torch.autograd.grad(each.square().sum(), model.unet.last_shared_weight(), retain_graph=True)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"feature_stride": 1}, "model.feature_stride: decoder 'fpn' has features at stride 2 or 4, got 1"),
        ({"decoder": {"kind": "unet"}, "encoder_depth": 5}, "decoder 'unet' has features at stride 1, got 4"),
        ({"decoder": {"kind": "unet"}, "feature_stride": 1}, "model.encoder_depth: decoder 'unet' needs 5, got 4"),
    ],
)
def test_a_decoder_that_cannot_do_it_is_refused(fields: dict[str, object], words: str) -> None:
    assert any(words in problem for problem in pyramid(**fields).disagreements())
