"""A U-Net decoder block that convolves before it upsamples, so that no upsampled or concatenated tensor is made.

The algorithm is the phase decomposition of upsampling followed by convolution, see :func:`enlarged_convolution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from segmentation_models_pytorch.decoders.unet import decoder
from torch import Tensor, nn
from torch.nn import functional

_MIN_PIXELS: Final = 2048
"""Least pixels of a batch before upsampling; with fewer, the time goes into the weights, which are more here."""
_MIN_EXPORTED_PIXELS: Final = 1024
"""The same of an image in an exported graph."""


class UnetDecoderBlock(decoder.UnetDecoderBlock):  # type: ignore[misc]  # that package has no types
    """The block of `segmentation_models_pytorch` for nearest upsampling by 2 without attention; same weight names."""

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """Upsamples, concatenates the skip connection, applies two convolutions.

        Args:
            feature_map: ``(B, C, H, W)``.
            target_height: Height of the output; other than 2H, the original block is used.
            target_width: Width of the output.
            skip_connection: ``(B, S, 2H, 2W)`` or None.

        Returns:
            ``(B, output channels, 2H, 2W)``.
        """
        convolution, *rest = self.conv1
        batch, _, height, width = feature_map.shape
        exporting = torch.compiler.is_exporting()  # then the number of images is none, and the size is known
        if (
            feature_map.device.type != "cpu"
            or (target_height, target_width) != (2 * height, 2 * width)
            or (height * width < _MIN_EXPORTED_PIXELS if exporting else batch * height * width < _MIN_PIXELS)
        ):
            original: Tensor = super().forward(feature_map, target_height, target_width, skip_connection)
            return original
        convolve = exported_convolution if exporting else enlarged_convolution
        features = convolve(feature_map, skip_connection, convolution)
        for layer in (*rest, self.conv2):
            features = layer(features)
        return features


def enlarged_convolution(images: Tensor, skip: Tensor | None, convolution: nn.Conv2d) -> Tensor:
    """A 3x3 convolution of nearest-neighbour upsampled ``images`` (by 2), concatenated with ``skip``.

    Phase decomposition: the 3 x 3 upsampled pixels under the kernel hold only 2 x 2 different values. So each of the
    four phases of the output (even or odd row, even or odd column) is a 2x2 convolution of the original images, with
    sums of the original weights (sub-pixel convolution, Shi et al., arXiv:1609.05158; Aitken et al.,
    arXiv:1707.02937). That takes four ninths of the operations, in more channels, and neither the upsampled nor the
    concatenated tensor is written to memory.

    Args:
        images: ``(B, C, H, W)``.
        skip: ``(B, S, 2H, 2W)`` or None.
        convolution: 3x3 with padding 1, from C + S channels.

    Returns:
        ``(B, output channels, 2H, 2W)``; under autocast, of its type.
    """
    if torch.is_autocast_enabled("cpu"):
        images = images.to(torch.get_autocast_dtype("cpu"))
    # 1. The channels of the images: one 2x2 convolution each for even and for odd rows, with both columns as channels.
    channels = images.shape[1]
    weight, bias = convolution.weight, convolution.bias
    bias_of_columns = None if bias is None else bias.repeat(2)
    even, odd = (
        functional.conv2d(images, weights.to(images.dtype), bias_of_columns, padding=1)
        for weights in _phase_weights(weight[:, :channels])
    )
    # 2. The channels of the skip connection: the ordinary convolution; convolution is linear, so the results add up.
    from_skip = None if skip is None else functional.conv2d(skip, weight[:, channels:], padding=1)
    # 3. Interleave the phases and add.
    output: Tensor = _Interleave.apply(even, odd, from_skip)
    return output


def exported_convolution(images: Tensor, skip: Tensor | None, convolution: nn.Conv2d) -> Tensor:
    """As :func:`enlarged_convolution`, from operations that runtimes have: four convolutions, and depth to space.

    Each phase is a convolution of its own, padded on the sides that it looks beyond. Normalisation that follows has to
    be folded before, as a runtime cannot fold it into what comes out of a depth to space.
    """
    channels, weight, bias = images.shape[1], convolution.weight, convolution.bias
    # 1. One 2x2 convolution for each phase: even pixels look one back (left, above), odd ones one ahead.
    phases = [
        functional.conv2d(functional.pad(images, (1 - column, column, 1 - row, row)), weights, bias)
        for row, rows in enumerate(_phase_sums(weight[:, :channels], 2))
        for column, weights in enumerate(_phase_sums(rows, 3))
    ]
    # 2. Interleave: depth to space takes the four phases of a channel one after the other.
    enlarged = functional.pixel_shuffle(torch.stack(phases, dim=2).flatten(1, 2), 2)
    # 3. Add the ordinary convolution of the skip connection.
    return enlarged if skip is None else enlarged + functional.conv2d(skip, weight[:, channels:], padding=1)


def _phase_weights(weight: Tensor) -> Iterator[Tensor]:
    """The weights of the phases of a 3x3 convolution of upsampled images.

    Args:
        weight: ``(O, C, 3, 3)``.

    Returns:
        Two tensors ``(2 O, C, 2, 2)``, for even and for odd rows; the first O channels are odd columns, then even ones.
    """
    for rows in _phase_sums(weight, 2):
        even, odd = _phase_sums(rows, 3)
        yield torch.cat([odd, even]).contiguous(memory_format=torch.channels_last)


def _phase_sums(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Reduces three weights along ``axis`` to two, for even and for odd output pixels.

    Output pixel 2i covers the input pixels i - 1, i, i, and output pixel 2i + 1 covers i, i, i + 1; weights of the same
    input pixel are added.
    """
    first, middle, last = weight.tensor_split(3, dim=axis)
    return torch.cat([first, middle + last], dim=axis), torch.cat([first + middle, last], dim=axis)


def _rows_in(phases: Tensor, odd: int) -> Tensor:
    """The output rows of one parity as a view of the result of a 2x2 convolution.

    With padding 1 there are ``H + 1`` x ``W + 1`` windows. Window k covers input pixels k - 1 and k, and its channels
    are output pixel 2k - 1 (odd), then 2k (even): in channels last, an output row is contiguous in memory. The odd
    pixel of the first window and the even pixel of the last one are outside of the output and are cropped off.

    Args:
        phases: ``(B, 2 O, H + 1, W + 1)``, channels last.
        odd: 0 for even rows, which skip the last row of windows; 1 for odd rows, which skip the first.

    Returns:
        ``(B, H, 2 W O)``.
    """
    batch, channels, rows, columns = phases.shape
    row_length, cropped = columns * channels, channels // 2
    shape = (batch, rows - 1, row_length - channels)
    return phases.as_strided(shape, (rows * row_length, row_length, 1), odd * row_length + cropped)


class _Interleave(torch.autograd.Function):
    """Interleaves even and odd rows and adds the result for the skip connection, in one pass over memory.

    ``even`` and ``odd`` are ``(B, 2 O, H + 1, W + 1)``, see :func:`_rows_in`; ``other`` and the output are
    ``(B, O, 2 H, 2 W)``, channels last.
    """

    @staticmethod
    def forward(ctx: Any, even: Tensor, odd: Tensor, other: Tensor | None) -> Tensor:
        ctx.shape = batch, channels, rows, columns = even.shape
        # Of the output in channels last: H pairs of rows, each row of 2 W O numbers.
        shape = (batch, rows - 1, 2, (columns - 1) * channels)
        output = even.new_empty(shape)
        added = None if other is None else other.permute(0, 2, 3, 1).reshape(shape)
        for parity, phases in enumerate((even, odd)):
            row = _rows_in(phases.contiguous(memory_format=torch.channels_last), parity)
            if added is None:
                output[:, :, parity] = row
            else:
                torch.add(added[:, :, parity], row, out=output[:, :, parity])
        return output.view(batch, 2 * rows - 2, 2 * columns - 2, channels // 2).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        batch, channels, rows, columns = ctx.shape
        gradient = gradients[0].permute(0, 2, 3, 1).reshape(batch, rows - 1, 2, (columns - 1) * channels)
        # The transpose of the forward pass: rows go back to their windows, what was cropped off gets gradient 0.
        even, odd = (
            torch.zeros(batch, rows, columns, channels, dtype=gradient.dtype).permute(0, 3, 1, 2) for _ in range(2)
        )
        for parity, phases in enumerate((even, odd)):
            _rows_in(phases, parity).copy_(gradient[:, :, parity])
        return even, odd, gradients[0] if ctx.needs_input_grad[2] else None
