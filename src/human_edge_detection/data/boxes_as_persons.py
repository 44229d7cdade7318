"""Images of which only boxes are known, packed as annotations: each box is the outline of its person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.columns import AnnotatedImages, AnnotationColumns

_LEAST_SIDE_PX = 1.0
"""A box that is narrower inside its image is left out."""


def images_with_boxes(
    names: Sequence[str], sizes: Sequence[tuple[int, int]], boxes: Sequence[NDArray[np.float32]]
) -> AnnotatedImages:
    """The images of these names, with ids from 1 on.

    Args:
        names: File names, relative to the folder of image files.
        sizes: Height and width of each image, pixels.
        boxes: ``(n, 4)`` x1, y1, x2, y2 in pixels for each image; they are cut off at its border.
    """
    cut = [_inside(each, size) for each, size in zip(boxes, sizes, strict=True)]
    everyone = np.concatenate([np.zeros((0, 4)), *cut])
    counts = np.array([len(each) for each in cut], np.int64)
    encoded = [name.encode() for name in names]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    numbers = np.arange(len(everyone), dtype=np.int64)
    # Clockwise on a screen, from the upper left corner.
    corners = everyone[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    return AnnotatedImages(
        AnnotationColumns(
            image_ids=np.arange(1, len(names) + 1, dtype=np.int64),
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            exhaustive=np.ones(len(names), bool),
            terms=np.zeros(len(names), np.int32),
            terms_texts=np.zeros(0, np.uint8),
            names=np.frombuffer(b"".join(encoded), np.uint8),
            name_offsets=np.concatenate([[0], np.cumsum([len(name) for name in encoded])]).astype(np.int64),
            first_persons=first,
            first_crowds=first[1:],
            annotation_ids=numbers + 1,
            boxes=everyone,
            polygons=np.stack([numbers, numbers + 1], axis=1),
            runs=np.zeros((len(everyone), 2), np.int64),
            polygon_offsets=np.arange(0, len(corners) + 1, 4, dtype=np.int64),
            points=corners,
            run_lengths=np.zeros(0, np.uint8),
        )
    )


def _inside(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    """Those of the boxes that are in the image, cut off at its border."""
    height, width = size
    cut: NDArray[np.float64] = np.asarray(boxes, np.float64).reshape(-1, 4).clip(0.0, [width, height, width, height])
    inside: NDArray[np.float64] = cut[((cut[:, 2:] - cut[:, :2]) >= _LEAST_SIDE_PX).all(axis=1)]
    return inside
