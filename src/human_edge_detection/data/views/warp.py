"""Affine warping of images: a crop, an anti-aliasing filter, then bilinear interpolation.

A matrix is ``(3, 3)``, float64, and maps x, y in pixels of the source to x, y in pixels of the output. Pixel i covers
the interval from i to i + 1, so its centre lies at i + 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SOURCE_PX: Final = 3.0
"""Least number of source pixels along each axis of one output pixel that a reduction of the source must leave."""

Matrix = NDArray[np.float64]
"""``(3, 3)``, affine; points are columns ``(x, y, 1)``."""
Value = TypeVar("Value", np.uint8, np.float32)
"""Of a pixel: of an image or a label, or a probability."""


def scaling(x: float, y: float) -> Matrix:
    """The matrix that multiplies x by ``x`` and y by ``y``."""
    return np.array([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])


def translation(x: float, y: float) -> Matrix:
    """The matrix that adds ``x`` to x and ``y`` to y, in pixels."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def inverse(matrix: Matrix) -> Matrix:
    """The inverse of an affine matrix."""
    inverted = np.eye(3)
    inverted[:2] = cv2.invertAffineTransform(matrix[:2])
    return inverted


def transform(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """``(P, 2)`` points x, y, mapped by ``matrix``.

    The result lies in memory column by column (all x, then all y), so that minima and maxima are found quickly.
    """
    mapped: NDArray[np.float64] = (matrix[:2, :2] @ points.T + matrix[:2, 2:]).T
    return mapped


def strides(matrix: Matrix) -> tuple[float, float]:
    """How many source pixels, along x and along y of the source, one output pixel spans; above 1 it shrinks."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    return 1 / math.hypot(a, c), 1 / math.hypot(b, d)


def warp(image: NDArray[Value], matrix: Matrix, size: tuple[int, int], fill: Sequence[float]) -> NDArray[Value]:
    """Warps ``image`` by an affine ``matrix``: averaged where it shrinks, interpolated where it grows.

    Separable filtering before bilinear interpolation: the box filter acts along the axes of the source, not of the
    output. So a rotated result differs a little from a warp at full size that is averaged afterwards; tests state by
    how much. Where the image grows, the half pixel inside its border blends into ``fill``.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8 or float32.
        matrix: From pixels of ``image`` to pixels of the output.
        size: (height, width) of the output.
        fill: Value of output pixels outside the image, C numbers.

    Returns:
        ``(height, width)`` or ``(height, width, C)``, of the type of ``image``.
    """
    kind = image.dtype
    # 1. Crop to what the output shows. 2. Reduce by whole numbers while enough detail is left.
    part, matrix = _reduce(*_crop_to_visible(image, matrix, size))
    if not part.size:
        return np.full((*size, *image.shape[2:]), fill[0] if image.ndim == 2 else fill, kind)
    # 3. Low-pass: a box filter in x and y over the pixels that one output pixel spans, against aliasing.
    x, y = map(_box_filter, strides(matrix))
    if len(x) > 1 or len(y) > 1:
        part = np.asarray(cv2.sepFilter2D(part, -1, x, y, borderType=cv2.BORDER_REPLICATE), kind)
    # 4. Coordinates for OpenCV, which has the centre of the first pixel at 0 instead of 0.5.
    centred = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    # 5. A fourth channel for colour images: OpenCV warps four channels in half the time that it takes for three.
    is_color = part.ndim == 3 and part.shape[2] == 3
    if is_color:
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2BGRA), kind)
    # 6. Inverse mapping with bilinear interpolation; OpenCV inverts the matrix itself.
    warped = cv2.warpAffine(part, centred[:2], size[::-1], flags=cv2.INTER_LINEAR, borderValue=tuple(fill))
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR) if is_color else warped, kind)


def _crop_to_visible(image: NDArray[Value], matrix: Matrix, size: tuple[int, int]) -> tuple[NDArray[Value], Matrix]:
    """The crop of ``image`` that the output is computed from, and the matrix from this crop to the output."""
    inverted = inverse(matrix)[:2].tolist()
    spans = []
    for (a, b, start), stride, length in zip(inverted, strides(matrix), image.shape[1::-1], strict=True):
        # The output rectangle maps to a parallelogram; per axis, its extent is the start plus the signed edges.
        along_width, along_height = a * size[1], b * size[0]
        # A margin for filter and interpolation: two output pixels and two source pixels.
        first = start + min(along_width, 0) + min(along_height, 0) - 2 * stride - 2
        last = start + max(along_width, 0) + max(along_height, 0) + 2 * stride + 2
        # Rounded outwards and clipped to the image; empty when nothing is visible.
        spans.append((min(max(math.floor(first), 0), length), min(max(math.ceil(last), 0), length)))
    (x1, x2), (y1, y2) = spans
    return image[y1:y2, x1:x2], matrix @ translation(x1, y1)


def _reduce(image: NDArray[Value], matrix: Matrix) -> tuple[NDArray[Value], Matrix]:
    """Averages whole blocks of pixels, which is quick, and leaves :data:`MIN_SOURCE_PX` pixels for each output pixel.

    Returns:
        The reduced image, without an incomplete last block of each axis, and the matrix from it to the output.
    """
    x, y = (max(1, int(stride / MIN_SOURCE_PX)) for stride in strides(matrix))
    height, width = image.shape[0] // y, image.shape[1] // x
    if x == y == 1 or not height or not width:
        return image, matrix
    reduced = cv2.resize(image[: height * y, : width * x], (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, image.dtype), matrix @ scaling(x, y)


def _box_filter(stride: float) -> NDArray[Any]:
    """Weights of a box filter for one output pixel that spans ``stride`` source pixels; odd in number, sum 1.

    Bilinear interpolation afterwards averages over about one pixel more. Variances of successive filters add up and
    that of a box grows with the square of its width, so the box here has a width of ``sqrt(stride^2 - 1)``.
    """
    width = math.sqrt(max(stride**2 - 1, 1.0))
    reach = math.ceil((width - 1) / 2)
    # Each pixel weighs as much as the box covers of it: 1 inside, a fraction at both ends.
    weights = [min(width / 2 + 0.5 - abs(pixel), 1.0) / width for pixel in range(-reach, reach + 1)]
    return np.array(weights, np.float32)
