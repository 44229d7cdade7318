"""Random changes of a training photograph, each a function of (seed, epoch, sample index) and of nothing else."""

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it would ask the network for a newer version

import albumentations as A

from human_edge_detection.data.warp import scaling, translation

VIEW_VERSION = 2
"""To be raised when equal seeds give other views, so that answers stored for the older ones are refused."""
FILL_COLOR = (124, 116, 104)
"""Colour of what lies outside the photograph: the mean of ImageNet, so that it is near zero after normalisation."""
_BLUR = (0.3, 1.2)
_COLOR_JITTER = A.ColorJitter()
"""For its arithmetic; what it does is drawn here, as it has to be the same for a view at two sizes."""


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


@dataclass(frozen=True)
class ColorChange:
    """Factors of brightness, contrast and saturation, shift of the hue (1 is the whole circle), and their order."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[int, ...]

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 RGB with other colours."""
        changed: NDArray[np.uint8] = _COLOR_JITTER.apply(image, **vars(self))
        return changed


@dataclass(frozen=True)
class View:
    """One random look at a photograph.

    Attributes:
        matrix: ``(3, 3)``, from pixels of the photograph (pixel i covers i to i + 1) to fractions of what is seen.
        color: Change of colours; None: none.
        blur: Standard deviation of a Gaussian, in pixels of a view of the photograph's size; 0: none.
    """

    matrix: NDArray[np.float64]
    color: ColorChange | None
    blur: float


def draw_view(augmentation: Augmentation, size: tuple[int, int], rng: np.random.Generator) -> View:
    """A view of a photograph of ``size`` (height, width): mirrored, zoomed and turned round its centre, shifted.

    Every number is drawn whatever the strengths are, so one strength more or less changes nothing else.
    """
    height, width = size
    mirrored = rng.random() < augmentation.horizontal_flip
    zoom = rng.uniform(*augmentation.scale)
    shift_x, shift_y = rng.uniform(-augmentation.translate, augmentation.translate, 2).tolist()
    angle = math.radians(rng.uniform(-augmentation.rotate, augmentation.rotate))
    across, down = zoom * math.cos(angle), zoom * math.sin(angle)
    centred = translation(-width / 2, -height / 2)
    mirror = scaling(-1.0 if mirrored else 1.0, 1.0)
    turn = np.array([[across, down, 0.0], [-down, across, 0.0], [0.0, 0.0, 1.0]])
    back = translation(width * (0.5 + shift_x), height * (0.5 + shift_y))
    matrix = scaling(1 / width, 1 / height) @ back @ turn @ mirror @ centred
    color = _draw_color(augmentation.color, rng)
    blurred, sigma = rng.random() < augmentation.blur, rng.uniform(*_BLUR)
    return View(matrix, color if augmentation.color else None, sigma if blurred else 0.0)


def _draw_color(strength: float, rng: np.random.Generator) -> ColorChange:
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).tolist()
    hue = rng.uniform(-strength / 5, strength / 5)
    return ColorChange(brightness, contrast, saturation, hue, tuple(rng.permutation(4).tolist()))


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
