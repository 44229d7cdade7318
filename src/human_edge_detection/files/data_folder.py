"""Finding annotations and images below one data folder."""

from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import DataError
from human_edge_detection.files.whole_folder import taken_out

_ANNOTATIONS = (
    "annotations/instances_{split}_person.json",
    "annotations/instances_{split}.json",
    "annotations/instances_{split}2017.json",
)
_IMAGES = ("images/{split}", "images/{split}2017", "{split}2017", "{split}")


class SplitPaths(NamedTuple):
    """Annotation file and image folder of one split."""

    annotations: Path
    images: Path


def find_splits(root: Path) -> tuple[SplitPaths, SplitPaths]:
    """The training and the validation split below ``root``.

    Raises:
        DataError: The folder is missing, or a split is; the message lists what was tried.
    """
    return find_split(root, "train"), find_split(root, "val")


def find_test_split(root: Path) -> SplitPaths | None:
    """The test split below ``root``; None where it has none, which is no mistake."""
    annotations, images = _annotations(root, "test"), _images(root, "test")
    return None if annotations is None or images is None else SplitPaths(annotations, images)


def find_split(root: Path, split: str) -> SplitPaths:
    """One split (``train``, ``val`` or ``test``) below ``root``.

    Raises:
        DataError: The folder is missing, or the split is; the message lists what was tried.
    """
    if not root.is_dir():
        former = taken_out(root)
        if former is not None:
            raise DataError(
                f"data folder {root} was about to be replaced when 'hed prepare-data' was killed, and is {former}; "
                "give that command again, or rename the folder"
            )
        raise DataError(f"data folder {root} does not exist or is not a folder; give an existing one")
    annotations, images = _annotations(root, split), _images(root, split)
    if annotations is None:
        raise DataError(f"data folder {root}: no {split} annotations; tried {_tried(_ANNOTATIONS, split)}")
    if images is None:
        raise DataError(f"data folder {root}: no {split} images; tried {_tried(_IMAGES, split)}")
    return SplitPaths(annotations, images)


def _annotations(root: Path, split: str) -> Path | None:
    paths = (root / pattern.format(split=split) for pattern in _ANNOTATIONS)
    return next((path for path in paths if path.is_file()), None)


def _images(root: Path, split: str) -> Path | None:
    paths = (root / pattern.format(split=split) for pattern in _IMAGES)
    return next((path for path in paths if path.is_dir()), None)


def _tried(patterns: tuple[str, ...], split: str) -> str:
    return ", ".join(pattern.format(split=split) for pattern in patterns)
