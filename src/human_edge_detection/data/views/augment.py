"""Random changes of a training photograph, each a function of (seed, epoch, sample index) and of nothing else."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

VIEW_VERSION = 3
"""To be raised when equal seeds give other views, so that answers stored for the older ones are refused."""
FILL_COLOR = (124, 116, 104)
"""Colour of what lies outside the photograph: the mean of ImageNet, so that it is near zero after normalisation."""
_BLUR = (0.3, 1.2)
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
"""From RGB to brightness and two axes of colour, in which hue is an angle and saturation a length."""
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


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
    """Factors of brightness, contrast (around the mean brightness) and saturation, turn of the hue (1: a whole circle).

    Each is an affine map of a pixel, so all are one; and as hue and saturation leave the brightness in YIQ alone, they
    are the same in any order.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 RGB with other colours."""
        mean = cv2.mean(image)[:3] @ _TO_YIQ[0]
        matrix = np.empty((3, 4))
        matrix[:, :3] = self.brightness * self.contrast * self._turn()
        matrix[:, 3] = self.brightness * (1 - self.contrast) * mean
        return np.asarray(cv2.transform(image, matrix), np.uint8)

    def _turn(self) -> NDArray[np.float64]:
        """``(3, 3)``, from RGB to RGB with another hue and saturation."""
        angle = -2 * math.pi * self.hue  # from red to yellow is backwards in YIQ
        across, along = self.saturation * math.cos(angle), self.saturation * math.sin(angle)
        turn: NDArray[np.float64] = (
            _FROM_YIQ @ np.array([[1.0, 0.0, 0.0], [0.0, across, -along], [0.0, along, across]]) @ _TO_YIQ
        )
        return turn


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
    mirror = -1.0 if mirrored else 1.0
    turn = np.array([[across * mirror / width, down / width], [-down * mirror / height, across / height]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = (0.5 + shift_x, 0.5 + shift_y) - turn @ (width / 2, height / 2)  # round the centre
    color = _draw_color(augmentation.color, rng)
    blurred, sigma = rng.random() < augmentation.blur, rng.uniform(*_BLUR)
    return View(matrix, color if augmentation.color else None, sigma if blurred else 0.0)


def _draw_color(strength: float, rng: np.random.Generator) -> ColorChange:
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).tolist()
    return ColorChange(brightness, contrast, saturation, hue=rng.uniform(-strength / 5, strength / 5))


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
