"""What augmentation may do to an image and what it did to a view, in words, for people who look at views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from human_edge_detection.data.views.augment import BLUR_SIGMA_PX, HUE_PART, View
from human_edge_detection.experiments.schema.data import AugmentationConfig

_NOT_SHOWN: Final = frozenset(
    ("shape", "output_shape", "cols", "rows", "interpolation", "mask_interpolation", "border_mode", "fill", "fill_mask")
)
"""Parameters of albumentations that say how large an image is, or how pixels are made; what changes is shown."""
_MOST_PARAMETERS: Final = 8
_MOST_NUMBERS: Final = 4
"""In one parameter; longer ones are matrices and noise."""


def ranges_in_words(augmentation: AugmentationConfig) -> tuple[str, ...]:
    """What the built-in views are drawn from, a text for each kind of change."""
    color, pasting = augmentation.color, augmentation.copy_paste
    pasted = (
        ()
        if pasting is None
        else (
            f"copy-paste: probability {pasting.probability:g}, up to {pasting.max_persons} persons of other images, "
            f"{pasting.scale[0]:g} to {pasting.scale[1]:g} times as large as those beside them",
        )
    )
    return (
        f"flip: probability {augmentation.horizontal_flip:g}",
        f"scale: {augmentation.scale[0]:g} to {augmentation.scale[1]:g}",
        f"rotation: up to {augmentation.rotate:g} degrees",
        f"shift: up to {augmentation.translate:.0%} of width and height",
        f"brightness, contrast, saturation: by up to {color:.0%}; hue: by up to {color / HUE_PART * 360:.0f} degrees",
        f"blur: probability {augmentation.blur:g}, sigma {BLUR_SIGMA_PX[0]:g} to {BLUR_SIGMA_PX[1]:g} px",
        *pasted,
        jitter_in_words(augmentation),
    )


def jitter_in_words(augmentation: AugmentationConfig) -> str:
    """What is done to boxes, by built-in views and by a pipeline."""
    return f"sides of boxes: moved by up to {augmentation.box_jitter:.0%} of the box"


def view_in_words(view: View, size: tuple[int, int]) -> tuple[str, ...]:
    """What a built-in view did to an image of ``size`` (height, width); what it left alone is not named."""
    height, width = size
    # The linear part in pixels is a rotation with a scale, after a flip: without that, its first row is (cos, sin).
    linear = np.diag([width, height]) @ view.matrix[:2, :2]
    is_flipped = np.linalg.det(linear) < 0
    cosine, sine = linear[0] * (-1.0 if is_flipped else 1.0, 1.0)
    shift_x, shift_y = (view.matrix[:2] @ (width / 2, height / 2, 1.0) - 0.5).tolist()
    words = {
        "flip": is_flipped,
        f"scale {math.hypot(cosine, sine):.2f}": abs(math.hypot(cosine, sine) - 1.0) >= 0.005,
        f"rotation {math.degrees(math.atan2(sine, cosine)):+.1f} degrees": abs(sine) >= 1e-3,
        f"shift {shift_x:+.1%} right, {shift_y:+.1%} down": max(abs(shift_x), abs(shift_y)) >= 5e-4,
    }
    if view.color is not None:
        brightness, contrast, saturation = view.color.brightness, view.color.contrast, view.color.saturation
        words[f"brightness {brightness:.2f}, contrast {contrast:.2f}"] = True
        words[f"saturation {saturation:.2f}, hue {view.color.hue * 360:+.0f} degrees"] = True
    words[f"blur, sigma {view.blur:.1f} px"] = view.blur > 0
    return tuple(text for text, counts in words.items() if counts)


def transforms_in_words(applied: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Transforms of albumentations, each with its arguments, or with what it drew; arrays are left out."""
    return tuple(" ".join([name, *_parameters(drawn)]) for name, drawn in applied)


def _parameters(values: Mapping[str, Any]) -> list[str]:
    shown = ((name, _in_words(value)) for name, value in values.items() if name not in _NOT_SHOWN)
    return [f"{name} {text}" for name, text in shown if text][:_MOST_PARAMETERS]


def _in_words(value: Any) -> str:
    """A number or a few of them; an empty text for anything else."""
    if isinstance(value, Mapping):
        parts = [f"{key} {_in_words(part)}" for key, part in value.items() if _in_words(part)]
        return ", ".join(parts) if len(parts) == len(value) <= _MOST_NUMBERS else ""
    if isinstance(value, tuple | list):
        parts = [_in_words(part) for part in value]
        return f"({', '.join(parts)})" if all(parts) and len(parts) <= _MOST_NUMBERS else ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | float | np.number):
        return f"{float(value):.3g}"
    return ""
