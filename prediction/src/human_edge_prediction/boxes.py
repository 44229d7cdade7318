"""Boxes between what a user gives, pixels of an image, and what models take, fractions of it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import BoxError

_EXAMPLE: Final = "give x1, y1, x2, y2 in pixels of the image"


def check_boxes(boxes: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes that a user gives; they may reach beyond the image.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels, N may be 0: an array or lists.
        size: (height, width) of the image.

    Returns:
        ``(N, 4)``.

    Raises:
        BoxError: They are of another shape or not finite, or one is reversed, empty or outside of the image.
    """
    try:
        corners = np.asarray(boxes, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BoxError(f"boxes: expected (N, 4) numbers, got something else ({error}); {_EXAMPLE}") from error
    if not corners.size:
        return np.zeros((0, 4), np.float32)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise BoxError(f"boxes: expected (N, 4), got {corners.shape}; {_EXAMPLE}")
    height, width = size
    limits = np.array([width, height, width, height], np.float64)
    inside = np.clip(corners, 0.0, limits)
    finite = np.isfinite(corners).all(axis=1)
    for wrong, problem in (
        (~finite, "is not finite"),
        ((corners[:, :2] >= corners[:, 2:]).any(axis=1), "has no area: it has to have x1 < x2 and y1 < y2"),
        ((inside[:, :2] >= inside[:, 2:]).any(axis=1), f"lies outside of the image, width {width}, height {height}"),
        (
            np.full(len(corners), (corners <= 1.0).all() and max(size) > 1),
            "looks like fractions of the image, and so do all",
        ),
    ):
        if wrong.any():
            number = int(wrong.argmax())
            numbers = ", ".join(f"{value:.6g}" for value in corners[number])
            raise BoxError(f"boxes: box {number} ({numbers}) {problem}; {_EXAMPLE}")
    return np.asarray(corners, np.float32)


def fit_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes ``(N, 4)`` in pixels, clipped to an image of ``size`` (height, width), sides at least 1 long."""
    limits = np.array([size[1], size[0]], np.float32)
    low = np.clip(boxes[:, :2], 0, limits - 1)
    high = np.clip(boxes[:, 2:], low + 1, limits)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def to_pixels(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """``(N, 4)`` boxes as fractions of an image of ``size``, (height, width), in its pixels."""
    return np.asarray(boxes * _extent(size), np.float32)


def to_fractions(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """``(N, 4)`` boxes in pixels of an image of ``size``, (height, width), as fractions of it."""
    return np.asarray(boxes / _extent(size), np.float32)


def _extent(size: tuple[int, int]) -> NDArray[np.float32]:
    return np.array([size[1], size[0]] * 2, np.float32)
