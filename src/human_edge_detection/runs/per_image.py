"""per_image.json: what the best model of a run predicted on each validation image, so that runs can be paired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from human_edge_detection.experiments.schema.base import Fraction, Section

PersonSize = Literal["small", "medium", "large"]
Count = Annotated[int, Field(ge=0, le=2**40)]
"""Of pixels or persons: the sum over millions of images is exact."""
Number = Annotated[int, Field(ge=-(2**62), le=2**62)]
"""An id, as the annotation file has it."""
MAX_BYTES: Final = 1 << 30
"""Of the file: a million images with ten persons each."""


class ImageCounts(Section):
    """One entry for each validation image, in the order of the annotation file."""

    id: tuple[Number, ...] = Field(min_length=1)
    persons: tuple[Count, ...]
    """Annotated persons, crowds not counted."""
    confusion: tuple[tuple[Count, Count, Count, Count], ...]
    """2 x 2 pixels of the full image, row by row, nobody and anybody; rows are the truth. Zeros without an answer."""


class RoiCounts(Section):
    """One entry for each person."""

    image: tuple[Number, ...]
    annotation: tuple[Number, ...]
    size: tuple[PersonSize, ...]
    """COCO's: the person's area on the image is below 32 x 32, below 96 x 96, or larger (pixels)."""
    confusion: tuple[tuple[Count, Count, Count, Count, Count, Count, Count, Count, Count], ...]
    """3 x 3 pixels of the roi, row by row: background, target, non-target; rows are the truth."""
    target_iou: tuple[Fraction | None, ...]
    boundary_f1: tuple[Fraction | None, ...]


class PerImage(Section):
    """The counts, and what they were made from. All metrics of the best epoch follow from them."""

    format_version: Literal[1] = 1
    checkpoint_sha256: str
    """Of best_model.pth as its summary has it."""
    data_fingerprint: str
    """Of the validation annotations."""
    images: ImageCounts
    rois: RoiCounts

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        for table in (self.images, self.rois):
            columns: dict[str, Sequence[object]] = dict(table)
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError(f"{type(table).__name__}: columns of different lengths")
        if len(set(self.images.id)) < len(self.images.id):
            raise ValueError("an image is listed twice")
        if unknown := set(self.rois.image) - set(self.images.id):
            raise ValueError(f"a roi is on image {min(unknown)}, which is not listed")
        return self


def person_size(area: float) -> PersonSize:
    """COCO's name for a person of ``area`` pixels of the image."""
    return "small" if area < 32**2 else "medium" if area < 96**2 else "large"
