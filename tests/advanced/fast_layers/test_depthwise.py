"""Depthwise convolutions and what is put in place of what: answers and gradients of plain layers."""

import pytest
import torch
from plain_layers import assert_same, output_and_gradients
from timm.layers.activations import Swish
from torch import nn

from human_edge_detection.advanced.fast_layers.depthwise import DepthwiseConv2d
from human_edge_detection.advanced.fast_layers.replace import use_fast_layers


@pytest.fixture
def models() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain, replaced = (
        nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
            Swish(),
            nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
            nn.Conv2d(8, 8, 5, stride=2, groups=8, bias=False),
            nn.Conv2d(8, 8, 3, dilation=2, padding=2, groups=8),
            nn.Conv2d(8, 8, (7, 4), dilation=(1, 2), padding=(3, 2), groups=8),
            nn.Conv2d(8, 4, 3, padding=1, groups=2),
        )
        for _ in range(2)
    )
    replaced.load_state_dict(plain.state_dict())
    use_fast_layers(replaced)
    return plain, replaced


def test_only_depthwise_convolutions_and_swish_are_replaced(models: tuple[nn.Module, nn.Module]) -> None:
    depthwise = [DepthwiseConv2d] * 4
    assert [type(module) for module in models[1].children()] == [
        nn.Conv2d,
        DepthwiseConv2d,
        nn.SiLU,
        *depthwise,
        nn.Conv2d,
    ]


def test_weights_and_random_numbers_stay() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    use_fast_layers(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("bf16", [False, True])
def test_answer_and_gradients_are_the_same(models: tuple[nn.Sequential, nn.Sequential], bf16: bool) -> None:
    for plain, quick in zip(*(model.children() for model in models), strict=True):
        images = torch.randn(2, 3 if plain is models[0][0] else 8, 27, 23)
        expected = output_and_gradients(plain, [images], bf16=False)
        assert_same(expected, output_and_gradients(quick, [images], bf16=bf16), bf16=bf16)


def test_autocast_to_bf16_is_heeded() -> None:
    layer = nn.Conv2d(4, 4, 3, groups=4)
    use_fast_layers(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 4, 5, 5)).dtype == torch.bfloat16
    assert layer(torch.randn(1, 4, 5, 5)).dtype == torch.float32


@pytest.mark.parametrize("learns", ["images", "weight"])
def test_only_the_gradient_that_is_asked_for_is_computed(learns: str) -> None:
    layer = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    use_fast_layers(layer)
    layer.weight.requires_grad_(learns == "weight")
    images = torch.randn(1, 4, 5, 5, requires_grad=learns == "images")
    with torch.autocast("cpu", torch.bfloat16):
        layer(images).sum().backward()
    assert (images.grad is not None) == (learns == "images")
    assert (layer.weight.grad is not None) == (learns == "weight")
