"""A person of one image that is pasted into another: the outline there, and the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.images.read import read_shrunk
from human_edge_detection.data.views.augment import FILL_COLOR
from human_edge_detection.data.views.rasterize import FULL, Grid, Outline, Shape, ShapeSet
from human_edge_detection.data.views.warp import MIN_SOURCE_PX, Matrix, scaling, strides, translation, warp


@dataclass(frozen=True)
class PastedPerson:
    """A person of another image, the donor, and where in an image it is pasted.

    Attributes:
        annotation_id: Of the donor's annotation.
        file_name: Of the donor, relative to the folder of image files.
        donor_size: (height, width) of the donor, pixels.
        matrix: ``(3, 3)``, affine, from pixels of the donor to pixels of the image that the person is pasted into.
        shape: The person's outline in pixels of the image that it is pasted into.
    """

    annotation_id: int
    file_name: str
    donor_size: tuple[int, int]
    matrix: Matrix
    shape: Shape


def paste(
    person: PastedPerson,
    images_dir: Path,
    outputs: Sequence[NDArray[np.uint8]],
    matrices: Sequence[Matrix],
    frame: Outline,
) -> None:
    """Blends a person into the outputs of an image, in place; the edge is as soft as its coverage of each pixel.

    Args:
        person: Who, and where.
        images_dir: Folder of image files.
        outputs: ``(height, width, 3)`` uint8 BGR, the same part of the image at several sizes.
        matrices: For each, ``(3, 3)``, affine, from pixels of the image to pixels of the output.
        frame: ``(4, 2)`` corners of the image in its pixels: the person ends where the image ends.

    Raises:
        DataError: The donor's image file is missing, damaged, or of another size than its annotation says.
    """
    to_outputs = [matrix @ person.matrix for matrix in matrices]
    most = min(min(strides(matrix)) for matrix in to_outputs) / MIN_SOURCE_PX
    donor, factor = read_shrunk(images_dir / person.file_name, person.donor_size, most)
    shapes = ShapeSet([person.shape, [[frame]]])
    for output, from_image, from_donor in zip(outputs, matrices, to_outputs, strict=True):
        # 1. The whole pixels of the output around the person.
        points = shapes.map(from_image)
        x1, y1, x2, y2 = _around(points[: -len(frame)], output.shape[:2])
        if x1 >= x2 or y1 >= y2:
            continue
        # 2. How much of each the person covers, by the rasterisation that makes the masks.
        grid = Grid(shapes, points, (x1, y1, x2, y2), (y2 - y1, x2 - x1))
        coverage = grid.mean(np.minimum(grid.paint([0]), grid.paint([1])))
        # 3. The donor's pixels there, blended in.
        to_part = translation(-x1, -y1) @ from_donor @ scaling(factor, factor)
        pixels = warp(donor, to_part, coverage.shape, FILL_COLOR[::-1]).astype(np.float32)
        part = output[y1:y2, x1:x2]
        part[:] = np.rint(part + (pixels - part) * (coverage.astype(np.float32) / FULL)[:, :, None])


def _around(points: Outline, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The smallest box ``x1, y1, x2, y2`` of whole pixels around points, clipped to an output of (height, width)."""
    limits = size[::-1]
    x1, y1 = np.clip(np.floor(points.min(axis=0)), 0, limits).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(points.max(axis=0)), 0, limits).astype(int).tolist()
    return x1, y1, x2, y2
