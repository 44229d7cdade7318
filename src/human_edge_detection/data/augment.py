"""Random changes of a training photograph, each a function of (seed, epoch, sample index) and of nothing else."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for a newer version

import albumentations as A

FILL_COLOR = (124, 116, 104)
"""Colour of what lies outside the photograph: the mean of ImageNet, so that it is near zero after normalisation."""


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the random changes.

    Attributes:
        horizontal_flip: Probability of mirroring.
        scale: Smallest and largest zoom of the whole photograph.
        translate: Largest shift, fraction of the photograph.
        rotate: Largest rotation, degrees.
        color: Strength of brightness, contrast, saturation and (a fifth of it) hue changes, 0 to 1.
        blur: Probability of a light Gaussian blur.
        box_jitter: Largest shift of each side of a person's box, fraction of the box.
    """

    horizontal_flip: float = 0.5
    scale: tuple[float, float] = (0.8, 1.25)
    translate: float = 0.1
    rotate: float = 10.0
    color: float = 0.2
    blur: float = 0.1
    box_jitter: float = 0.1


def sample_seed(seed: int, epoch: int, index: int) -> np.random.SeedSequence:
    """The source of all randomness of one sample in one epoch."""
    return np.random.SeedSequence((seed, epoch, index))


def build_transform(augmentation: Augmentation) -> A.Compose:
    """The albumentations pipeline; slow to build, so build it once and seed it anew for each sample."""
    color = augmentation.color
    steps: list[A.BasicTransform] = [
        A.HorizontalFlip(p=augmentation.horizontal_flip),
        A.Affine(
            scale=augmentation.scale,
            translate_percent=(-augmentation.translate, augmentation.translate),
            rotate=(-augmentation.rotate, augmentation.rotate),
            keep_ratio=True,
            fill=FILL_COLOR,
            fill_mask=0,
            p=1.0,
        ),
        A.ColorJitter(
            brightness=(1 - color, 1 + color),
            contrast=(1 - color, 1 + color),
            saturation=(1 - color, 1 + color),
            hue=(-color / 5, color / 5),
            p=1.0 if color else 0.0,
        ),
        A.GaussianBlur(sigma_limit=(0.3, 1.2), p=augmentation.blur),
    ]
    return A.Compose(steps)


def apply_transform(
    transform: A.Compose, image: NDArray[np.uint8], masks: NDArray[np.uint8], seed: np.random.SeedSequence
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Photograph and masks changed together; the size stays.

    Args:
        transform: From :func:`build_transform`.
        image: ``(H, W, 3)`` uint8.
        masks: ``(M, H, W)`` uint8, M at least 1.
        seed: Decides the change; equal seeds give equal changes.

    Returns:
        Image and masks of the same shapes. What comes from outside is ``FILL_COLOR`` and 0.
    """
    # One seed for all steps, as Compose.set_random_seed gives, would couple them: their first draws would be equal,
    # so that for example every mirrored photograph were also made smaller.
    for step, state in zip(transform.transforms, seed.generate_state(len(transform.transforms)), strict=True):
        step.set_random_seed(int(state))
    changed = transform(image=image, masks=masks)
    return changed["image"], changed["masks"]


def jitter_boxes(
    boxes: NDArray[np.float32], strength: float, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Boxes with each side moved at random, at least a pixel wide, inside the photograph.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels.
        strength: Largest shift of a side, fraction of the box's width or height, at most 0.5.
        size: Height and width of the photograph.
        rng: Source of randomness.
    """
    extent = boxes[:, 2:] - boxes[:, :2]
    shifts = rng.uniform(-strength, strength, size=(len(boxes), 4)) * np.concatenate([extent, extent], axis=1)
    return fit_boxes((boxes + shifts).astype(np.float32), size)


def fit_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes clipped to the photograph of ``size`` (height, width), each side at least one pixel long."""
    limits = np.array([size[1], size[0]], np.float32)
    low = np.clip(boxes[:, :2], 0, limits - 1)
    high = np.clip(boxes[:, 2:], low + 1, limits)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def mask_boxes(masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Tight boxes ``(N, 4)`` in pixels of N masks; all zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
