"""The canvas of the sample data: rasterises shaded, textured shapes and keeps which person each pixel shows."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.resampling import resize

SUPERSAMPLING = 2
"""Images are drawn at this multiple of their size and area-averaged, for anti-aliased edges."""
Points = NDArray[np.float64]
"""``(K, 2)`` or ``(2,)`` x and y in canvas pixels."""
Color = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "hoops", "checks", "dots"]


@dataclass(frozen=True)
class Material:
    """The appearance of a surface.

    Attributes:
        color: RGB, 0 to 255.
        second: RGB of the pattern, 0 to 255.
        pattern: Stripes run along the axis of the shape, hoops across it.
        period: Length of one repetition of the pattern, canvas pixels.
        roughness: Strength of the noise on it, 0 to 1.
        roundness: 0 for a flat surface, 1 for a cylinder around the axis.
    """

    color: Color
    second: Color = (0.0, 0.0, 0.0)
    pattern: Pattern = "plain"
    period: float = 8.0
    roughness: float = 0.1
    roundness: float = 1.0


class Canvas:
    """An image that is drawn back to front (painter's algorithm).

    Attributes:
        pixels: ``(H, W, 3)`` float32 RGB, 0 to 255, at ``SUPERSAMPLING`` times the size of the image.
        owners: ``(H, W)`` uint8, the number of the person that is visible at a pixel, 0 for none.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        """An empty canvas for an image of ``size`` (height, width), with a light from a random side."""
        self.height, self.width = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
        self.pixels = np.zeros((self.height, self.width, 3), np.float32)
        self.owners = np.zeros((self.height, self.width), np.uint8)
        self.grain = noise((self.height, self.width), rng, octaves=(3, 8, 24, 96))
        self.light_x = float(rng.uniform(-0.6, 0.6))

    def fill_polygon(
        self, outline: Points, axis: tuple[Points, Points], half_width: float, look: Material, owner: int = 0
    ) -> None:
        """Fills a polygon with a shaded, patterned surface.

        Args:
            outline: ``(K, 2)`` x, y of its corners in canvas pixels; it is clipped to the canvas.
            axis: Two points; shading and patterns follow the line between them.
            half_width: Distance from the axis, in canvas pixels, at which a round shape turns away from the viewer.
            look: The surface.
            owner: Number of the person that it belongs to; 0 for an object, which occludes persons behind it.
        """
        # 1. The bounding box of the polygon, clipped to the canvas.
        low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, [self.width, self.height])
        if (high <= low).any():
            return
        # 2. Rasterise the polygon; OpenCV takes fixed-point coordinates with 4 bits after the point.
        stencil = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(stencil, [np.round((outline - low) * 16).astype(np.int32)], 1, shift=4)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        # 3. Coordinates of each pixel along (u) and across (v) the axis.
        start, end = axis
        along = ((end - start) / max(float(np.hypot(*(end - start))), 1e-6)).astype(np.float32)
        x = np.arange(low[0], high[0], dtype=np.float32)[None, :] - np.float32(start[0])
        y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(start[1])
        u, v = x * along[0] + y * along[1], y * along[0] - x * along[1]
        # 4. Shading and pattern; the noise also distorts the pattern.
        texture = self.grain[window]
        width = float(half_width)  # a numpy float would make all of this float64
        brightness = self._brightness(look, v / width, along, texture)
        surface = _surface(look, u, v + 0.15 * min(width, 40.0) * texture)
        # 5. Paint the pixels of the polygon and note whose they are.
        cv2.copyTo(surface * brightness[..., None], stencil, self.pixels[window])
        self.owners[window][stencil > 0] = owner

    def _brightness(
        self, look: Material, across: NDArray[Any], along: NDArray[Any], texture: NDArray[np.float32]
    ) -> NDArray[Any]:
        """``(h, w)`` factors: diffuse (Lambertian) shading of a cylinder around the axis, times the texture.

        ``across`` is the distance from the axis in half widths, ``along`` the unit vector of the axis.
        """
        across = np.clip(across * look.roundness, -0.97, 0.97)
        # The surface normal of a cylinder: sideways across the axis, the rest towards the viewer.
        towards_light = np.sqrt(1 - across**2) * 0.8 - across * along[1] * self.light_x + across * along[0] * -0.4
        brightness: NDArray[Any] = (0.45 + 0.65 * np.clip(towards_light, 0, 1)) * (1 + look.roughness * texture)
        return brightness

    def darken(self, center: Points, radii: tuple[float, float], strength: float) -> None:
        """Draws a soft shadow: an ellipse that fades out as a Gaussian.

        Args:
            center: ``(2,)`` in canvas pixels.
            radii: Horizontal and vertical, canvas pixels.
            strength: Share of the light that is missing at the centre, 0 to 1.
        """
        reach = np.array(radii) * 2.2
        x0, y0 = np.maximum(np.floor(center - reach).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(center + reach).astype(int), [self.width, self.height])
        if x1 <= x0 or y1 <= y0:
            return
        across = ((np.arange(x0, x1) - center[0]) / radii[0]) ** 2
        down = ((np.arange(y0, y1) - center[1]) / radii[1]) ** 2
        fade = np.exp(-(across[None, :] + down[:, None]))
        self.pixels[y0:y1, x0:x1] *= (1 - strength * fade)[..., None].astype(np.float32)

    def render(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The finished image as from a camera: lighting gradient, colour cast, blur, noise; ``(H, W, 3)`` uint8 RGB."""
        size = (self.height // SUPERSAMPLING, self.width // SUPERSAMPLING)
        image: NDArray[Any] = resize(self.pixels, size)
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.3)
        ramp_x = np.linspace(-1, 1, size[1])[None, :] * np.cos(angle)
        ramp_y = np.linspace(-1, 1, size[0])[:, None] * np.sin(angle)
        cast = rng.uniform(0.93, 1.07, 3) * rng.uniform(0.8, 1.12)
        light = (1 + strength * (ramp_x + ramp_y)).astype(np.float32)
        image = image * light[..., None] * cast.astype(np.float32)
        if rng.random() < 0.6:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
        image += float(rng.uniform(1.5, 5.0)) * rng.standard_normal(image.shape, dtype=np.float32)
        return np.asarray(np.clip(np.round(image), 0, 255).astype(np.uint8))


def noise(size: tuple[int, int], rng: np.random.Generator, octaves: tuple[int, ...]) -> NDArray[np.float32]:
    """Fractal value noise: random grids, interpolated bilinearly and summed with falling weights.

    Args:
        size: (height, width).
        rng: Source of randomness.
        octaves: Cells of each grid along the longer side.

    Returns:
        ``(height, width)`` float32, about -1 to 1.
    """
    total = np.zeros(size, np.float32)
    for level, cells in enumerate(octaves):
        grid = rng.uniform(-1, 1, (cells * size[0] // max(size) + 2, cells * size[1] // max(size) + 2))
        total += cv2.resize(grid.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR) * 0.75**level
    return total / sum(0.75**level for level in range(len(octaves))) * 1.6


def _surface(look: Material, u: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
    """``(h, w, 3)`` colours at positions ``u`` along and ``v`` across the axis; ``(3,)`` for a plain surface."""
    color, second = np.array(look.color, np.float32), np.array(look.second, np.float32)
    if look.pattern == "plain":
        return color
    along, across = (u / float(look.period)) % 1, (v / float(look.period)) % 1
    match look.pattern:
        case "stripes":
            share = (across < 0.4).astype(np.float32)
        case "hoops":
            share = (along < 0.45).astype(np.float32)
        case "checks":
            share = 0.5 * ((along < 0.5).astype(np.float32) + (across < 0.5))
        case "dots":
            share = (np.hypot(along - 0.5, across - 0.5) < 0.3).astype(np.float32)
    return np.asarray(color + share[..., None] * (second - color))


def ellipse(center: Points, radii: tuple[float, float], angle: float = 0.0, corners: int = 20) -> Points:
    """``(corners, 2)`` polygon of an ellipse, rotated by ``angle`` radians."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(center + (_circle(corners) * radii) @ turn)


@lru_cache
def _circle(corners: int) -> Points:
    """``(corners, 2)`` points of the unit circle."""
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def limb(start: Points, end: Points, radius_start: float, radius_end: float) -> Points:
    """``(K, 2)`` polygon of a tapered limb: the convex hull of two discs."""
    discs = np.concatenate(
        [ellipse(start, (radius_start,) * 2, corners=14), ellipse(end, (radius_end,) * 2, corners=14)]
    )
    return cv2.convexHull(discs.astype(np.float32))[:, 0].astype(np.float64)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    """``(4, 2)`` polygon of an axis-aligned rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def point(x: float, y: float) -> Points:
    """``(2,)`` a position in canvas pixels."""
    return np.array([x, y], float)
