"""Which format a folder is in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.data.formats import FORMATS, coco
from human_edge_detection.data.formats.categories import counted
from human_edge_detection.data.formats.format import Dataset, Format
from human_edge_detection.data.formats.splits import SPLITS
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import SplitPaths


class Recognised(NamedTuple):
    """A data set and what told its format.

    Attributes:
        format: The format.
        file: The file by which it was recognised.
        dataset: What was read.
    """

    format: Format
    file: Path
    dataset: Dataset

    def description(self, persons: Collection[str]) -> str:
        """One line: the format, the numbers of images, which categories are ``persons`` and which are not."""
        counts = self.dataset.image_counts
        images = ", ".join(f"{counts[split]} {split}" for split in SPLITS if split in counts)
        categories = {name: count for name, count in self.dataset.categories.items() if count}
        taken = {name: count for name, count in categories.items() if name in persons}
        left = {name: count for name, count in categories.items() if name not in persons}
        rest = f"; not used: {counted(left)}" if left else ""
        return f"recognised {self.format.title} ({self.file}): {images} images; as person: {counted(taken)}{rest}"


def recognise(root: Path, name: str | None = None) -> Recognised:
    """Reads the data set in a folder.

    Args:
        root: The folder.
        name: Of the format; None: that of the files in it.

    Raises:
        DataError: The folder is missing or in no format or in several, or a file is malformed.
    """
    if root.is_file():
        raise DataError(f"data folder {root} is a file; give the folder that it lies in, or unpack it first")
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist or is not a folder; give an existing one")
    formats = {one: _format(one) for one in FORMATS if name in (None, one)}
    found: dict[Path, str] = {}
    for one, form in formats.items():
        file = form.find(root)
        if file is not None:
            found.setdefault(file, one)
    if not found:
        raise _not_recognised(root, formats.values())
    if len(found) > 1:
        files = ", ".join(f"{file} ({formats[one].title})" for file, one in found.items())
        flags = " or ".join(f"--format {one}" for one in found.values())
        raise DataError(f"data folder {root} is in several formats: {files}; give {flags}")
    file, one = next(iter(found.items()))
    return Recognised(formats[one], file, formats[one].read(root))


def _format(name: str) -> Format:
    form: Format = import_module(f"human_edge_detection.data.formats.{name}").FORMAT
    return form


def given_files(paths: Mapping[str, SplitPaths]) -> Recognised:
    """Reads COCO files that were given by split, at least one.

    Raises:
        DataError: One cannot be read or is none.
    """
    return Recognised(coco.FORMAT, next(iter(paths.values())).annotations, coco.read_files(paths))


def _not_recognised(root: Path, formats: Collection[Format]) -> DataError:
    """Says what was looked for, and where it is, when it is one folder further down."""
    below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    inner = next((path for path in below if any(one.find(path) for one in formats)), None)
    advice = "" if inner is None else f"; did you mean {inner}?"
    wanted = "; ".join(f"{one.title}: {one.layout}" for one in formats)
    return DataError(f"data folder {root} is not recognised{advice}; looked for {wanted}")
