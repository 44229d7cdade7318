"""Bilinear enlargement: as PyTorch computes it."""

import pytest
import torch
from plain_layers import assert_same, output_and_gradients
from torch import Tensor
from torch.nn import functional

from human_edge_detection.advanced.fast_layers.bilinear import upsample_bilinear


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("size", [(10, 14), (13, 7)])
def test_answer_and_gradient_are_the_same(size: tuple[int, int], bf16: bool) -> None:
    def plain(images: Tensor) -> Tensor:
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)

    def quick(images: Tensor) -> Tensor:
        return upsample_bilinear(images, size)

    images = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = output_and_gradients(plain, [images], bf16=False)
    assert_same(expected, output_and_gradients(quick, [images], bf16=bf16), bf16=bf16)


def test_the_gradient_lies_in_memory_as_the_images_do() -> None:
    images = torch.randn(2, 3, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(upsample_bilinear(images, (10, 14)), images, torch.ones(2, 3, 10, 14))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
