"""A view made the slow way: image and masks changed at full size, which the exact functions then average."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.polygons_and_rle import PlacedMask
from human_edge_detection.data.dataset import Scene
from human_edge_detection.data.views.augment import FILL_COLOR, View
from human_edge_detection.data.views.warp import scaling, translation


def plain_view(scene: Scene, view: View, times: int = 1) -> Scene:
    """The scene as ``view`` shows it, ``times`` as large as the image; colours and sharpness stay.

    Pixels of a mask are taken or not by where their centre comes from, as albumentations does.
    """
    height, width = (times * side for side in scene.ignored.shape)
    matrix = translation(-0.5, -0.5) @ scaling(width, height) @ view.matrix @ translation(0.5, 0.5)

    def warp(plane: NDArray[np.uint8], flags: int, fill: Any) -> Any:
        return cv2.warpAffine(plane, matrix[:2], (width, height), flags=flags, borderValue=fill)

    whole = slice(0, scene.ignored.shape[0]), slice(0, scene.ignored.shape[1])
    persons = [PlacedMask(warp(mask.within(*whole), cv2.INTER_NEAREST, 0), 0, 0) for mask in scene.persons]
    return Scene(
        warp(scene.image, cv2.INTER_LINEAR, FILL_COLOR),
        tuple(persons),
        warp(scene.ignored, cv2.INTER_NEAREST, 1),
    )


def mask_boxes(masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Tight boxes ``(N, 4)`` in pixels of N masks; all zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Of two masks; 1 when both are empty."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 1.0
