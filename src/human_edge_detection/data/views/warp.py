"""Showing a photograph, or a mask, through an affine map: at the size that is wanted, from only the pixels it takes.

A matrix is ``(3, 3)`` and maps pixel coordinates to pixel coordinates, in which pixel i covers i to i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

ENOUGH: Final = 3.0
"""Pixels along each side of one pixel of the answer that always stay: an image that has more may be shrunk first."""

Matrix = NDArray[np.float64]


def scaling(x: float, y: float) -> Matrix:
    """Stretches both axes."""
    return np.array([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])


def translation(x: float, y: float) -> Matrix:
    """Shifts both axes."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def inverse(matrix: Matrix) -> Matrix:
    """The way back."""
    back = np.eye(3)
    back[:2] = cv2.invertAffineTransform(matrix[:2])
    return back


def transform(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """``(P, 2)`` points, mapped; all x, then all y in memory, which makes extremes quick to find."""
    mapped: NDArray[np.float64] = (matrix[:2, :2] @ points.T + matrix[:2, 2:]).T
    return mapped


def strides(matrix: Matrix) -> tuple[float, float]:
    """How many pixels in x and in y lie along one pixel of the answer."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    return 1 / math.hypot(a, c), 1 / math.hypot(b, d)


def warp(image: NDArray[np.uint8], matrix: Matrix, size: tuple[int, int], fill: Sequence[int]) -> NDArray[np.uint8]:
    """``image`` as ``matrix`` maps it, averaged where it shrinks, interpolated where it grows.

    Where it shrinks, the answer is within what rounding and the direction of the averaged boxes make (along the axes of
    the image, not of the answer) of a warp at full size that is then averaged; tests say how far. Where it grows, the
    last half pixel before the border of the image goes over into ``fill``.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8.
        matrix: From its pixels to those of the answer.
        size: Height and width of the answer.
        fill: Value of what lies outside, C numbers.
    """
    part, matrix = _shrink(*_visible_part(image, matrix, size))
    if not part.size:
        return np.full((*size, *image.shape[2:]), fill[0] if image.ndim == 2 else fill, np.uint8)
    x, y = map(_mean_of, strides(matrix))
    if len(x) > 1 or len(y) > 1:
        part = np.asarray(cv2.sepFilter2D(part, -1, x, y, borderType=cv2.BORDER_REPLICATE), np.uint8)
    centred = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)  # OpenCV counts from the centre of a pixel
    colours = part.ndim == 3 and part.shape[2] == 3
    if colours:  # OpenCV warps four channels in half the time that it takes for three
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2BGRA), np.uint8)
    warped = cv2.warpAffine(part, centred[:2], size[::-1], flags=cv2.INTER_LINEAR, borderValue=tuple(fill))
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR) if colours else warped, np.uint8)


def _visible_part(image: NDArray[np.uint8], matrix: Matrix, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Matrix]:
    """What the answer is made of, without the rest of the image."""
    back = inverse(matrix)[:2].tolist()
    spans = []
    for (a, b, start), stride, length in zip(back, strides(matrix), image.shape[1::-1], strict=True):
        reach, other = a * size[1], b * size[0]
        first = start + min(reach, 0) + min(other, 0) - 2 * stride - 2
        last = start + max(reach, 0) + max(other, 0) + 2 * stride + 2
        spans.append((min(max(math.floor(first), 0), length), min(max(math.ceil(last), 0), length)))
    (x1, x2), (y1, y2) = spans
    return image[y1:y2, x1:x2], matrix @ translation(x1, y1)


def _shrink(image: NDArray[np.uint8], matrix: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    """Means of whole blocks of pixels, which are quick, if enough detail is left."""
    x, y = (max(1, int(stride / ENOUGH)) for stride in strides(matrix))
    height, width = image.shape[0] // y, image.shape[1] // x
    if x == y == 1 or not height or not width:
        return image, matrix
    shrunk = cv2.resize(image[: height * y, : width * x], (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8), matrix @ scaling(x, y)


def _mean_of(stride: float) -> NDArray[Any]:
    """Weights of the pixels before and after one, for a mean over ``stride`` of them.

    A little fewer are taken, since the interpolation that follows is a mean over about a pixel, too.
    """
    width = math.sqrt(max(stride**2 - 1, 1.0))
    reach = math.ceil((width - 1) / 2)
    weights = [min(width / 2 + 0.5 - abs(pixel), 1.0) / width for pixel in range(-reach, reach + 1)]
    return np.array(weights, np.float32)
