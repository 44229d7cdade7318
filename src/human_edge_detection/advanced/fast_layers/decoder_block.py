"""The decoder block of a U-Net without the enlarged and joined images that its first convolution is defined on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from segmentation_models_pytorch.decoders.unet import decoder
from torch import Tensor, nn
from torch.nn import functional

_LEAST_PIXELS: Final = 2048
"""Pixels of a batch below which a convolution spends its time on weights, of which the quick way has more."""


class UnetDecoderBlock(decoder.UnetDecoderBlock):  # type: ignore[misc]  # that package has no types
    """That of `segmentation_models_pytorch` for enlargement by two without attention; the names of its weights stay."""

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """``(B, C, H, W)`` and the skip connection ``(B, S, 2H, 2W)`` to ``(B, channels out, 2H, 2W)``."""
        convolution, *rest = self.conv1
        batch, _, height, width = feature_map.shape
        if (
            feature_map.device.type != "cpu"
            or torch.compiler.is_exporting()
            or (target_height, target_width) != (2 * height, 2 * width)
            or batch * height * width < _LEAST_PIXELS
        ):
            plain: Tensor = super().forward(feature_map, target_height, target_width, skip_connection)
            return plain
        answer = enlarged_convolution(feature_map, skip_connection, convolution)
        for layer in (*rest, self.conv2):
            answer = layer(answer)
        return answer


def enlarged_convolution(images: Tensor, skip: Tensor | None, convolution: nn.Conv2d) -> Tensor:
    """What a 3x3 ``convolution`` answers to ``images`` enlarged by two (nearest pixel), joined with ``skip``.

    Among nine pixels of the enlarged images there are only four different ones, so each of the four kinds of pixels
    (even or odd row, even or odd column) is a 2x2 convolution of the small images, whose weights are sums (sub-pixel
    convolution, Shi et al., arXiv:1609.05158; Aitken et al., arXiv:1707.02937): four ninths of the operations, in more
    channels, and nothing enlarged or joined is written to memory.

    Args:
        images: ``(B, C, H, W)``.
        skip: ``(B, S, 2H, 2W)`` or None.
        convolution: 3x3 with padding 1, from C + S channels.

    Returns:
        ``(B, channels out, 2H, 2W)``, under autocast in its precision.
    """
    if torch.is_autocast_enabled("cpu"):
        images = images.to(torch.get_autocast_dtype("cpu"))
    channels = images.shape[1]
    weight, bias = convolution.weight, convolution.bias
    bias_of_both = None if bias is None else bias.repeat(2)
    even, odd = (
        functional.conv2d(images, weights.to(images.dtype), bias_of_both, padding=1)
        for weights in _weights_of_rows(weight[:, :channels])
    )
    joined = None if skip is None else functional.conv2d(skip, weight[:, channels:], padding=1)
    answer: Tensor = _Interleave.apply(even, odd, joined)
    return answer


def _weights_of_rows(weight: Tensor) -> Iterator[Tensor]:
    """``(O, C, 3, 3)`` as two ``(2 O, C, 2, 2)``: for even rows and for odd ones; each has odd columns first."""
    for rows in _sums(weight, 2):
        even, odd = _sums(rows, 3)
        yield torch.cat([odd, even]).contiguous(memory_format=torch.channels_last)


def _sums(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The two weights along ``axis`` for even and for odd pixels of the enlarged images.

    Pixel 2i sees the small pixels i - 1, i, i; pixel 2i + 1 sees i, i, i + 1.
    """
    first, middle, last = weight.tensor_split(3, dim=axis)
    return torch.cat([first, middle + last], dim=axis), torch.cat([first + middle, last], dim=axis)


def _rows_in(answer: Tensor, odd: int) -> Tensor:
    """A view ``(B, H, 2 W O)`` of the even or the odd rows in an answer ``(B, 2 O, H + 1, W + 1)``, channels last.

    Window k begins one pixel before small pixel k: it answers for odd pixel 2k - 1, then for even pixel 2k, so a row
    lies in memory in one piece. The odd one of the first window and the even one of the last lie outside.
    """
    batch, channels, rows, columns = answer.shape
    row, outside = columns * channels, channels // 2
    shape = (batch, rows - 1, row - channels)
    return answer.as_strided(shape, (rows * row, row, 1), odd * row + outside)


class _Interleave(torch.autograd.Function):
    """Joins even and odd rows, and adds another answer."""

    @staticmethod
    def forward(ctx: Any, even: Tensor, odd: Tensor, other: Tensor | None) -> Tensor:
        ctx.shape = batch, channels, rows, columns = even.shape
        shape = (batch, rows - 1, 2, (columns - 1) * channels)
        answer = even.new_empty(shape)
        added = None if other is None else other.permute(0, 2, 3, 1).reshape(shape)
        for number, one in enumerate((even, odd)):
            row = _rows_in(one.contiguous(memory_format=torch.channels_last), number)
            if added is None:
                answer[:, :, number] = row
            else:
                torch.add(added[:, :, number], row, out=answer[:, :, number])
        return answer.view(batch, 2 * rows - 2, 2 * columns - 2, channels // 2).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        batch, channels, rows, columns = ctx.shape
        gradient = gradients[0].permute(0, 2, 3, 1).reshape(batch, rows - 1, 2, (columns - 1) * channels)
        even, odd = (
            torch.zeros(batch, rows, columns, channels, dtype=gradient.dtype).permute(0, 3, 1, 2) for _ in range(2)
        )
        for number, one in enumerate((even, odd)):
            _rows_in(one, number).copy_(gradient[:, :, number])
        return even, odd, gradients[0] if ctx.needs_input_grad[2] else None
