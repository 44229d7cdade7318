"""A model of one image and so many rois, asked about any number of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.adapter import Array
from human_edge_prediction.errors import ArgumentError

_WHOLE: Final = np.array([0.0, 0.0, 0.0, 1.0, 1.0], np.float32)
"""The roi of a slot that is not used: the whole image."""
Run = Callable[[NDArray[np.float32], NDArray[np.float32]], dict[str, Array]]
"""As :meth:`~human_edge_prediction.models.own.OwnModel.run`, of ``(1, 3, H, W)`` and rois ``(slots, 5)``."""


def run_in_slots(
    run: Run, images: NDArray[np.float32], rois: NDArray[np.float32], slots: int | None
) -> dict[str, Array]:
    """The outputs for all images and rois, from one run after another.

    Args:
        run: The model.
        images: ``(B, 3, H, W)``, at least one.
        rois: ``(N, 5)``; none for a model without a head for them.
        slots: Rois that it takes, no more and no less; None: any number of one image.

    Raises:
        ArgumentError: A roi is of no image.
    """
    if not np.isin(rois[:, 0], np.arange(len(images))).all():
        raise ArgumentError(f"rois: the first column is the index of an image, 0 to {len(images) - 1}")
    people: list[Array] = []
    masks: Array | None = None
    for number, image in enumerate(images):
        of_image = np.flatnonzero(rois[:, 0] == number)
        size = slots or max(1, len(of_image))
        # An image without rois is run too, for its person map.
        for first in range(0, max(1, len(of_image)), size):
            chunk = of_image[first : first + size]
            asked = np.tile(_WHOLE, (len(chunk) if slots is None else slots, 1))
            asked[: len(chunk), 1:] = rois[chunk, 1:]
            outputs = run(image[None], asked)
            if "masks" in outputs:
                answered = outputs["masks"]
                masks = np.zeros((len(rois), *answered.shape[1:]), answered.dtype) if masks is None else masks
                masks[chunk] = answered[: len(chunk)]
        people.append(outputs["binary_masks"])
    gathered = {"binary_masks": np.concatenate(people)}
    return gathered if masks is None else {"masks": masks, **gathered}
