"""What a teacher of another framework says of an image: a map of probabilities of any person, single persons, both."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class ProbabilityMap(NamedTuple):
    """Probabilities on a grid that covers the image, 0 outside of the part that is given.

    Attributes:
        values: ``(h, w)`` float32 in [0, 1].
        top: Row of the grid that the first row of ``values`` is.
        left: Column of the grid that the first column is.
        size: (height, width) of the grid, of the image's proportions: that of the image, or a coarser or finer one.
        is_binary: A mask, with values 0 and 1 only: it does not say how sure it is.
    """

    values: NDArray[np.float32]
    top: int
    left: int
    size: tuple[int, int]
    is_binary: bool


class Instance(NamedTuple):
    """One person as the teacher sees them.

    Attributes:
        map: Where.
        score: How sure the teacher is that there is such a person, in [0, 1]; 1 where it does not say.
        annotation_id: Of the person that the teacher was asked about; None: it found this one itself.
    """

    map: ProbabilityMap
    score: float
    annotation_id: int | None


class ImageAnswers(NamedTuple):
    """What is known of one image.

    Attributes:
        person_map: Of any person, over the whole image; None: the teacher gives none, only ``instances``.
        instances: Single persons, in any order.
    """

    person_map: ProbabilityMap | None
    instances: tuple[Instance, ...]


class Answers(Protocol):
    """A teacher's answers to the images of one annotation set. Holds no open file, so it can go to any process."""

    @property
    def source(self) -> Path:
        """The file or folder that they come from."""

    @property
    def sha256(self) -> str:
        """Of the content of the source, and of the version of the way that it is read."""

    @property
    def kind(self) -> str:
        """``results``, or ``maps``."""

    @property
    def has_instances(self) -> bool:
        """Whether it speaks of single persons at all."""

    @property
    def by_id(self) -> bool:
        """Whether it calls any image by its id, which an image of another annotation set may have too, not by name."""

    @property
    def others(self) -> int:
        """How many entries or maps of the source are of no image of the annotation set."""

    def of(self, index: int) -> ImageAnswers | None:
        """The answers to image ``index`` of the annotation set; None: none, the teacher was not asked.

        Raises:
            DataError: They cannot be read, or are of another image; names the file.
        """
