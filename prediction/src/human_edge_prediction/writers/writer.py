"""What all writers have in common, and where their files go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from human_edge_prediction.errors import OutputError
from human_edge_prediction.prediction import Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.sources.names import absolute
from human_edge_prediction.writers.files import write_whole, writing

_SHOWN: Final = 3
_PERSON: Final = "[0-9]" * 3 + "*"
_FRAME: Final = "[0-9]" * 6 + "*"
"""Patterns of numbers in names, for what an earlier call wrote."""


class Target(NamedTuple):
    """What a writer writes.

    Attributes:
        path: Of it.
        is_folder: Or a file.
    """

    path: Path
    is_folder: bool = False


class Writer(Protocol):
    """Writes predictions as one kind of file.

    Attributes:
        place: Where it writes to, to be shown: a folder or a file.
    """

    @property
    def place(self) -> Path: ...

    def targets(self, source: Source) -> Iterable[Target]:
        """What it writes for a source; what it writes for all of them together, each time."""

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Writes what there is of one image.

        Raises:
            ImageFileError: This kind of file cannot hold the image.
            OutputError: It cannot be written.
        """

    def close(self) -> None:
        """Writes what there is of all images so far; called once, also after an error.

        Raises:
            OutputError: It cannot be written.
        """


class FileForEach:
    """A writer of one file an image: ``FOLDER/NAME.suffix``, of a video ``FOLDER/NAME/000000.suffix``."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.place = folder
        self._suffix = suffix

    def targets(self, source: Source) -> Iterable[Target]:
        """As of :class:`Writer`."""
        if source.is_video:
            return [Target(self.place / source.name, is_folder=True)]
        return [Target(self.place / f"{source.name}{self._suffix}")]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """As of :class:`Writer`; of a video, frames that an earlier call wrote are deleted first."""
        if frame.index == 0:
            with writing(self.place):
                for path in (self.place / frame.source.name).glob(f"{_FRAME}{self._suffix}"):
                    path.unlink()
        write_whole(self.place / f"{frame.name}{self._suffix}", self.content(frame, prediction))

    def content(self, frame: Frame, prediction: Prediction) -> bytes:
        """Of the file."""
        raise NotImplementedError

    def close(self) -> None:
        """As of :class:`Writer`."""


class FolderForEach:
    """A writer of one PNG a person: ``FOLDER/NAME/000.png``."""

    def __init__(self, folder: Path) -> None:
        self.place = folder

    def targets(self, source: Source) -> Iterable[Target]:
        """As of :class:`Writer`."""
        return [Target(self.place / source.name, is_folder=True)]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """As of :class:`Writer`; files of an earlier call are replaced, those of persons or frames more are deleted."""
        if frame.index == 0:
            with writing(self.place):
                for path in (self.place / frame.source.name).glob(f"{_FRAME}/{_PERSON}.png"):
                    path.unlink()
        folder = self.place / frame.name
        before = set(folder.glob(f"{_PERSON}.png"))
        for number, content in self.contents(frame, prediction):
            path = folder / f"{number:03d}.png"
            write_whole(path, content)
            before.discard(path)
        for path in before:
            path.unlink(missing_ok=True)

    def contents(self, frame: Frame, prediction: Prediction) -> Iterator[tuple[int, bytes]]:
        """Number of each person and the file."""
        raise NotImplementedError

    def close(self) -> None:
        """As of :class:`Writer`."""


def check_targets(writers: Sequence[Writer], sources: Sequence[Source], output: Path, *, overwrite: bool) -> None:
    """Refuses what could be lost, before anything is done.

    Args:
        writers: That will write.
        sources: That they will write of.
        output: Folder of all that is written.
        overwrite: What an earlier call wrote may be replaced; a source never is.

    Raises:
        OutputError: A file is where a folder belongs or the reverse, something is there already, or is a source.
    """
    for place in (output, *output.parents):
        if place.exists() and not place.is_dir():
            raise OutputError(f"--output {output}: {place} is a file; give a folder")
    targets = dict.fromkeys(target for writer in writers for source in sources for target in writer.targets(source))
    read = {absolute(source.path) for source in sources}
    read |= {folder for path in read for folder in path.parents}
    for path, _ in targets:
        if absolute(path) in read:
            raise OutputError(f"{path} is read in this call and would be replaced; give another --output")
    there = [target for target in targets if target.path.exists() or target.path.is_symlink()]
    if there and not overwrite:
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        shown = ", ".join(str(path) for path, _ in there[:_SHOWN])
        verb = "is" if len(there) == 1 else "are"
        raise OutputError(f"{shown}{more} {verb} there already; give --overwrite, or another --output")
    for path, is_folder in there:
        if path.is_dir() != is_folder:
            raise OutputError(f"{path} is a {'file' if is_folder else 'folder'} and in the way; move it away")
