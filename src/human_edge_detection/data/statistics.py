"""Statistics of a data set: numbers and sizes of persons, and shares of pixels that class weights follow from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.structures import CLASS_NAMES

_MAX_SMALL_PX, _MAX_MEDIUM_PX = 32**2, 96**2
"""COCO's limits of the mask area, pixels: below the first a person is small, below the second medium, else large."""


@dataclass
class Statistics:
    """Counts of one split, filled image by image.

    Attributes:
        images: Images.
        images_without_persons: Images without an annotated person.
        images_not_exhaustive: Images with persons that may not be annotated.
        persons: Annotated persons, crowd regions not counted.
        crowds: Crowd regions, and boxes of persons without a mask.
        small: Persons below 32 x 32 pixels of mask.
        medium: Persons below 96 x 96.
        large: The other persons.
        most_persons: Largest number of persons on one image.
        class_pixels: ``(3,)`` pixels of each class over all roi masks; ignored pixels are not counted.
    """

    images: int = 0
    images_without_persons: int = 0
    images_not_exhaustive: int = 0
    persons: int = 0
    crowds: int = 0
    small: int = 0
    medium: int = 0
    large: int = 0
    most_persons: int = 0
    class_pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.int64))

    def add(self, areas: Sequence[float], crowds: int, roi_masks: NDArray[np.uint8], *, exhaustive: bool) -> None:
        """Counts one image.

        Args:
            areas: Mask pixels of each person.
            crowds: Number of crowd regions.
            roi_masks: ``(n, H, W)`` classes; 255 is ignored.
            exhaustive: Whether all its persons are annotated.
        """
        self.images += 1
        self.images_without_persons += not areas
        self.images_not_exhaustive += not exhaustive
        self.persons += len(areas)
        self.crowds += crowds
        self.small += sum(area < _MAX_SMALL_PX for area in areas)
        self.medium += sum(_MAX_SMALL_PX <= area < _MAX_MEDIUM_PX for area in areas)
        self.large += sum(area >= _MAX_MEDIUM_PX for area in areas)
        self.most_persons = max(self.most_persons, len(areas))
        self.class_pixels += np.bincount(roi_masks.ravel(), minlength=256)[: len(CLASS_NAMES)]

    @property
    def class_shares(self) -> NDArray[np.float64]:
        """``(3,)`` shares of background, target and non-target among the counted pixels; add up to 1, or are all 0."""
        return self.class_pixels / max(int(self.class_pixels.sum()), 1)

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``statistics.json``."""
        return {
            "images": self.images,
            "images_without_persons": self.images_without_persons,
            "images_not_exhaustive": self.images_not_exhaustive,
            "persons": self.persons,
            "crowds": self.crowds,
            "persons_by_size": {"small": self.small, "medium": self.medium, "large": self.large},
            "persons_per_image": {"mean": round(self.persons / max(self.images, 1), 3), "most": self.most_persons},
            "roi_pixel_shares": dict(zip(CLASS_NAMES, self.class_shares.round(5).tolist(), strict=True)),
        }


def suggested_class_weights(shares: NDArray[np.float64]) -> list[float]:
    """Class weights for the loss: the inverse square root of each share, scaled to a mean of 1.

    The square root is a compromise between no weights and weights in inverse proportion to the share, with which a rare
    class would outweigh all others. A class that does not occur gets 1.

    Args:
        shares: ``(C,)`` shares of pixels, each in [0, 1].
    """
    weights = np.ones(len(shares))
    occurs = shares > 0
    weights[occurs] = 1 / np.sqrt(shares[occurs])
    weights[occurs] /= weights[occurs].mean()
    return [round(weight, 3) for weight in weights.tolist()]
