"""Random augmentation of a training image: a function of (seed, epoch, sample index) and of nothing else."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_prediction.boxes import fit_boxes

VIEW_VERSION = 3
"""Raise it when equal seeds give other views, so that soft labels stored for the older views are refused."""
FILL_COLOR = (124, 116, 104)
"""RGB of pixels outside the image: the mean of ImageNet, so that they are near zero after normalisation."""
BLUR_SIGMA_PX = (0.3, 1.2)
"""Smallest and largest standard deviation of the Gaussian blur, pixels of the image file."""
HUE_PART = 5
"""The hue rotates by at most the strength of colours over this, as a fraction of the whole circle."""
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
"""From RGB to YIQ (NTSC): luma Y and a plane of chroma, I and Q, in which hue is an angle and saturation a length."""
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def sample_seed(seed: int, epoch: int, index: int) -> np.random.SeedSequence:
    """The seed of all random numbers of one sample in one epoch."""
    return np.random.SeedSequence((seed, epoch, index))


@dataclass(frozen=True)
class ColorChange:
    """A colour jitter, applied as one affine map of RGB.

    Each of the four changes is affine in RGB, so their composition is one ``(3, 4)`` matrix. Hue and saturation rotate
    and scale the chroma of YIQ and leave luma alone, so the order of the changes makes no difference.

    Attributes:
        brightness: Factor, 1: no change.
        contrast: Factor around the mean luma of the image, 1: no change.
        saturation: Factor, 1: no change, 0: grey.
        hue: Rotation, 0: no change, 1: a whole circle.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8 RGB with changed colours, clipped to 0 to 255."""
        # Contrast blends with the mean luma, hue and saturation do not change it, brightness multiplies all.
        mean = cv2.mean(image)[:3] @ _TO_YIQ[0]
        matrix = np.empty((3, 4))
        matrix[:, :3] = self.brightness * self.contrast * self._hue_and_saturation()
        matrix[:, 3] = self.brightness * (1 - self.contrast) * mean
        return np.asarray(cv2.transform(image, matrix), np.uint8)

    def _hue_and_saturation(self) -> NDArray[np.float64]:
        """``(3, 3)``, RGB to RGB: to YIQ, chroma rotated by the hue and scaled by the saturation, and back."""
        angle = -2 * math.pi * self.hue  # hue grows from red to yellow, which is clockwise in the plane of I and Q
        cosine, sine = self.saturation * math.cos(angle), self.saturation * math.sin(angle)
        matrix: NDArray[np.float64] = (
            _FROM_YIQ @ np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]]) @ _TO_YIQ
        )
        return matrix


@dataclass(frozen=True)
class View:
    """One random augmentation of an image.

    Attributes:
        matrix: ``(3, 3)``, affine, from pixels of the image file (pixel i covers i to i + 1) to fractions of the view.
        color: Colour jitter; None: none.
        blur: Standard deviation of a Gaussian blur, in pixels of a view as large as the image file; 0: none.
    """

    matrix: NDArray[np.float64]
    color: ColorChange | None
    blur: float


def draw_view(augmentation: AugmentationConfig, size: tuple[int, int], rng: np.random.Generator) -> View:
    """Draws a view: flip, scaling and rotation around the centre of the image, then a shift; colours and blur.

    Every random number is drawn whatever the strengths are, so that changing one strength changes nothing else.

    Args:
        augmentation: Strengths.
        size: (height, width) of the image file.
        rng: Source of randomness.
    """
    height, width = size
    # 1. Random numbers, in a fixed order.
    is_flipped = rng.random() < augmentation.horizontal_flip
    scale = rng.uniform(*augmentation.scale)
    shift_x, shift_y = rng.uniform(-augmentation.translate, augmentation.translate, 2).tolist()
    angle = math.radians(rng.uniform(-augmentation.rotate, augmentation.rotate))
    # 2. The linear part: flip, then rotation and scaling in pixels, then division by width and height.
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    flip = -1.0 if is_flipped else 1.0
    linear = np.array([[cosine * flip / width, sine / width], [-sine * flip / height, cosine / height]])
    # 3. The translation that maps the centre of the image to the centre of the view plus the shift.
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (0.5 + shift_x, 0.5 + shift_y) - linear @ (width / 2, height / 2)
    # 4. Colours and blur.
    color = _draw_color(augmentation.color, rng)
    is_blurred, sigma = rng.random() < augmentation.blur, rng.uniform(*BLUR_SIGMA_PX)
    return View(matrix, color if augmentation.color else None, sigma if is_blurred else 0.0)


def _draw_color(strength: float, rng: np.random.Generator) -> ColorChange:
    """Factors within ``strength`` of 1 and a rotation of the hue by at most a fifth of ``strength``."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).tolist()
    return ColorChange(brightness, contrast, saturation, hue=rng.uniform(-strength / HUE_PART, strength / HUE_PART))


def jitter_boxes(
    boxes: NDArray[np.float32], strength: float, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Bounding boxes with each side moved at random, clipped to the image, at least one pixel wide and high.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2 in pixels.
        strength: Largest shift of a side, fraction of the box's width or height, at most 0.5.
        size: (height, width) of the image.
        rng: Source of randomness.

    Returns:
        ``(N, 4)`` float32 x1, y1, x2, y2 in pixels.
    """
    extent = boxes[:, 2:] - boxes[:, :2]
    shifts = rng.uniform(-strength, strength, size=(len(boxes), 4)) * np.concatenate([extent, extent], axis=1)
    return fit_boxes((boxes + shifts).astype(np.float32), size)
