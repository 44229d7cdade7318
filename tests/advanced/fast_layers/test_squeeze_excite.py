"""Squeeze-and-excitation with its convolution: as `timm` computes both."""

import pytest
import torch
from plain_layers import assert_same, output_and_gradients
from timm.models import _efficientnet_blocks as efficientnet
from torch import nn

from human_edge_detection.advanced.fast_layers.replace import use_fast_layers
from human_edge_detection.advanced.fast_layers.squeeze_excite import PointwiseConv2d, SqueezeExcite, Weighted


def layers(bias: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(efficientnet.SqueezeExcite(12, 0.25, act_layer=nn.SiLU), nn.Conv2d(12, 7, 1, bias=bias))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(5, 7), (24, 30)], ids=["few pixels", "many pixels"])
def test_answer_and_gradients_are_the_same(size: tuple[int, int], bias: bool, bf16: bool) -> None:
    plain, quick = layers(bias), layers(bias)
    use_fast_layers(quick)
    assert [type(layer) for layer in quick] == [SqueezeExcite, PointwiseConv2d]
    images = torch.rand(3, 12, *size, generator=torch.Generator().manual_seed(1))
    expected = output_and_gradients(plain, [images], bf16=False)
    assert_same(expected, output_and_gradients(quick, [images], bf16=bf16), bf16=bf16)


def test_many_pixels_are_not_multiplied() -> None:
    quick = layers(bias=False)
    use_fast_layers(quick)
    assert isinstance(quick[0](torch.rand(1, 12, 24, 30)), Weighted)


def test_without_a_convolution_behind_it_it_stays() -> None:
    model = nn.Sequential(efficientnet.SqueezeExcite(12, 0.25), nn.ReLU())
    use_fast_layers(model)
    assert type(model[0]) is efficientnet.SqueezeExcite
