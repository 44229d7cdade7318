"""What the checks of person annotations found, and how it is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.data.annotations.annotation_set import BadImage

logger = logging.getLogger(__name__)


class Findings(NamedTuple):
    """What the checks found; it is repeated each time the annotations are read.

    Attributes:
        malformed: Images with a malformed annotation, and what is wrong with the first one of each.
        persons: Number of well-formed person annotations, crowd regions too.
        moved: Number of those whose ``bbox`` is empty or far from their mask.
        first_moved: Annotation id of the first of these; 0 without one.
        invisible: Number of those with neither a mask nor a box that has an area, which are left out.
        first_invisible: Annotation and image of the first of these, in words; empty without one.
        boxless: Number of those in ``moved`` whose ``bbox`` is empty.
        unmasked: Number of those with a box and no mask, which become ignored regions.
        first_unmasked: Annotation and image of the first of these, in words; empty without one.
    """

    malformed: tuple[BadImage, ...]
    persons: int
    moved: int
    first_moved: int
    invisible: int
    first_invisible: str
    boxless: int
    unmasked: int
    first_unmasked: str

    def warn(self, file: Path) -> None:
        """Logs a warning for each kind of annotation in ``file`` that is not taken as it is."""
        if self.moved:
            logger.warning(
                "%s: %d of %d person annotations have a bbox that is empty or far from their mask; the mask's box is "
                "used; bbox is x, y, width, height (first: %d)",
                file,
                self.moved,
                self.persons,
                self.first_moved,
            )
        if self.invisible:
            logger.warning(
                "%s: %d of %d person annotations have neither a mask nor a box on their image and are left out "
                "(first: %s)",
                file,
                self.invisible,
                self.persons,
                self.first_invisible,
            )
        if self.unmasked:
            logger.warning(
                "%s: %d of %d person annotations have a box and no mask; what is in these boxes is ignored, as in "
                "crowd regions (first: %s)",
                file,
                self.unmasked,
                self.persons,
                self.first_unmasked,
            )
