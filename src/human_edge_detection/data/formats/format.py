"""What every format is and gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from human_edge_detection.data.annotations.coco import CocoSplit


class Dataset(Protocol):
    """A data set that was read; which of its categories are persons is not decided yet."""

    @property
    def image_counts(self) -> Mapping[str, int]:
        """Number of images by split: ``train``, ``val``, ``test``. One that has no splits is all ``train``."""

    @property
    def categories(self) -> Mapping[str, int]:
        """Number of annotations by name of the category.

        Raises:
            DataError: An annotation has none.
        """

    def persons(self, categories: Collection[str]) -> dict[str, CocoSplit]:
        """The splits, with the annotations of these categories as persons and no others.

        Raises:
            DataError: One of these annotations is malformed; names file and line.
        """


class Format(NamedTuple):
    """A format; its name is that of its module.

    Attributes:
        title: As people call it.
        layout: What a folder of it holds, for messages.
        find: Gives the file by which a folder is recognised, or None. Quick.
        read: Reads such a folder; raises DataError when a file is malformed, and names it.
    """

    title: str
    layout: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], Dataset]
