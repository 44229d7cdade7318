"""Putting faster layers in the place of those of timm and segmentation_models_pytorch."""

import copy

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from human_edge_detection.advanced.fast_layers.decoder_block import UnetDecoderBlock
from human_edge_detection.advanced.fast_layers.depthwise import DepthwiseConv2d
from human_edge_detection.advanced.fast_layers.replace import use_fast_layers
from human_edge_detection.advanced.fast_layers.squeeze_excite import PointwiseConv2d, SqueezeExcite


@pytest.fixture(scope="module")
def original() -> nn.Module:
    torch.manual_seed(0)
    unet: nn.Module = smp.Unet(
        "timm-efficientnet-b0", encoder_weights=None, encoder_depth=3, decoder_channels=(8, 8, 8)
    )
    return unet.eval()


@pytest.fixture(scope="module")
def fast(original: nn.Module) -> nn.Module:
    model = copy.deepcopy(original)
    use_fast_layers(model)
    return model


def test_layers_of_each_kind_are_replaced(fast: nn.Module) -> None:
    kinds = {type(module) for module in fast.modules()}
    assert {DepthwiseConv2d, SqueezeExcite, PointwiseConv2d, UnetDecoderBlock, nn.SiLU} <= kinds
    depthwise = [m for m in fast.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1]
    assert depthwise
    assert all(type(module) is DepthwiseConv2d for module in depthwise)


def test_weights_and_their_names_stay(original: nn.Module, fast: nn.Module) -> None:
    before, after = original.state_dict(), fast.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_no_random_number_is_drawn(original: nn.Module) -> None:
    model, state = copy.deepcopy(original), torch.get_rng_state()
    use_fast_layers(model)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_output_stays(original: nn.Module, fast: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = original(images), fast(images)
    assert (expected - found).norm() <= 1e-4 * expected.norm()


def test_replacing_twice_changes_nothing_more(fast: nn.Module) -> None:
    model = copy.deepcopy(fast)
    use_fast_layers(model)
    assert [type(module) for module in model.modules()] == [type(module) for module in fast.modules()]


def test_decoder_blocks_with_attention_or_other_upsampling_stay() -> None:
    for settings in ({"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}):
        model = smp.Unet("resnet18", encoder_weights=None, encoder_depth=2, decoder_channels=(8, 8), **settings)
        use_fast_layers(model)
        assert not any(isinstance(module, UnetDecoderBlock) for module in model.modules())


def test_ordinary_convolutions_stay() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.Conv2d(1, 1, 3), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(4, 4, 3, groups=2)
    )
    use_fast_layers(model)
    assert all(type(module) is nn.Conv2d for module in model)
