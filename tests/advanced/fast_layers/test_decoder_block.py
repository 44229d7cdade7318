"""Decoder blocks: as `segmentation_models_pytorch` computes them."""

from unittest.mock import patch

import pytest
import torch
from plain_layers import assert_same, output_and_gradients
from segmentation_models_pytorch.decoders.unet import decoder
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.fast_layers import decoder_block
from human_edge_detection.advanced.fast_layers.decoder_block import (
    UnetDecoderBlock,
    enlarged_convolution,
    exported_convolution,
)
from human_edge_detection.advanced.fast_layers.replace import use_fast_layers


def block(skip_channels: int) -> decoder.UnetDecoderBlock:
    torch.manual_seed(0)
    return decoder.UnetDecoderBlock(6, skip_channels, 5)


def inputs(skip_channels: int, size: tuple[int, int] = (34, 31)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(2, 6, *size, generator=generator)]
    if skip_channels:
        images.append(torch.randn(2, skip_channels, 2 * size[0], 2 * size[1], generator=generator))
    return images


def plain_convolution(images: Tensor, skip: Tensor | None, convolution: nn.Conv2d) -> Tensor:
    enlarged = functional.interpolate(images, scale_factor=2.0, mode="nearest")
    output: Tensor = convolution(enlarged if skip is None else torch.cat([enlarged, skip], dim=1))
    return output


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("skip_channels", [0, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_a_convolution_of_enlarged_images_is_the_same(
    size: tuple[int, int], skip_channels: int, bias: bool, bf16: bool
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(6 + skip_channels, 5, 3, padding=1, bias=bias)
    images = inputs(skip_channels, size)

    def outputs(of: object, *, bf16: bool) -> list[Tensor]:
        def call(images: Tensor, skip: Tensor | None = None) -> Tensor:
            output: Tensor = of(images, skip, convolution)  # type: ignore[operator]
            return output

        return output_and_gradients(call, images, bf16=bf16, weights=list(convolution.parameters()))

    assert_same(outputs(plain_convolution, bf16=False), outputs(enlarged_convolution, bf16=bf16), bf16=bf16)


@pytest.mark.usefixtures("float64")  # in float32 a pixel at the kink of a ReLU would decide
@pytest.mark.parametrize("skip_channels", [0, 3])
def test_a_block_is_the_same(skip_channels: int) -> None:
    plain, quick = block(skip_channels), block(skip_channels)
    use_fast_layers(quick)
    assert type(quick) is UnetDecoderBlock

    def call(model: nn.Module) -> list[Tensor]:
        def output(images: Tensor, skip: Tensor | None = None) -> Tensor:
            masks: Tensor = model(images, 2 * images.shape[-2], 2 * images.shape[-1], skip)
            return masks

        images = inputs(skip_channels)
        return output_and_gradients(output, images, bf16=False, weights=list(model.parameters()))

    with patch.object(decoder_block, "enlarged_convolution", wraps=enlarged_convolution) as taken:
        assert_same(call(plain), call(quick), bf16=False)
    assert taken.called


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("skip_channels", [0, 3])
def test_the_exported_convolution_is_the_same(skip_channels: int, bias: bool) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(6 + skip_channels, 5, 3, padding=1, bias=bias)
    images, *skip = inputs(skip_channels, (4, 7))
    given = (images, skip[0] if skip else None, convolution)
    torch.testing.assert_close(exported_convolution(*given), plain_convolution(*given))


def test_sizes_other_than_twice_go_the_plain_way() -> None:
    plain, quick = block(0).eval(), block(0).eval()
    use_fast_layers(quick)
    images = torch.rand(2, 6, 34, 31)
    assert torch.equal(quick(images, 67, 61), plain(images, 67, 61))


def test_only_the_gradients_that_are_asked_for_are_computed() -> None:
    convolution = nn.Conv2d(9, 5, 3, padding=1).requires_grad_(False)
    images, skip = inputs(3)
    images.requires_grad_()
    enlarged_convolution(images, skip, convolution).sum().backward()
    assert images.grad is not None
    assert skip.grad is None
    assert convolution.weight.grad is None


@pytest.mark.parametrize("setting", [{"attention_type": "scse"}, {"interpolation_mode": "bilinear"}])
def test_other_blocks_stay(setting: dict[str, str]) -> None:
    other = decoder.UnetDecoderBlock(32, 16, 16, **setting)
    use_fast_layers(other)
    assert type(other) is decoder.UnetDecoderBlock
