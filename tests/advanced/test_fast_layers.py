"""Fast layers: the same answers and gradients as plain ones, in bf16 to its precision."""

import pytest
import torch
from timm.layers.activations import Swish
from torch import Tensor, nn

from human_edge_detection.advanced.fast_layers.depthwise import DepthwiseConv2d
from human_edge_detection.advanced.fast_layers.replace import use_fast_layers


def _answer_and_gradients(model: nn.Module, images: Tensor, *, bf16: bool) -> list[Tensor]:
    images = images.clone().requires_grad_()
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        answer = model(images)
    answer.float().square().sum().backward()
    gradients = [images.grad, *(parameter.grad for parameter in model.parameters())]
    return [answer.detach().float(), *(gradient for gradient in gradients if gradient is not None)]


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


def test_float32_is_the_same(models: tuple[nn.Module, nn.Module]) -> None:
    images = torch.randn(2, 3, 27, 23)
    plain, replaced = (_answer_and_gradients(model, images, bf16=False) for model in models)
    for one, other in zip(plain, replaced, strict=True):
        torch.testing.assert_close(one, other)


def test_bf16_is_the_same_to_its_precision(models: tuple[nn.Module, nn.Module]) -> None:
    images = torch.randn(2, 3, 27, 23)
    plain, replaced = (_answer_and_gradients(model, images, bf16=True) for model in models)
    for one, other in zip(plain, replaced, strict=True):
        assert (one - other).norm() <= 0.02 * one.norm()


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
