"""Folders that must stay the ones they are while this process writes into them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from human_edge_detection.errors import FolderMovedError

_held: Final[dict[Path, int]] = {}
"""A descriptor of each, by path: it leads to the folder under any name, and keeps its number from another folder."""
_DELETED: Final = " (deleted)"
"""What Linux adds to the name of a file that has none any more."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """While open, this process writes below ``folder`` only as long as that is the folder that it was.

    One that is renamed or deleted would else be made anew by the next write, and what belongs together lie in two.

    Raises:
        OSError: It is no folder.
    """
    place = folder.absolute()
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    before = _held.get(place)
    _held[place] = descriptor
    try:
        yield
    finally:
        os.close(descriptor)
        if before is None:
            del _held[place]
        else:
            _held[place] = before


def check_held(path: Path) -> None:
    """Looks whether the held folders above ``path`` are still there.

    Raises:
        FolderMovedError: One was renamed, deleted or replaced by another; says where it is now.
    """
    place = path.absolute()
    for folder, descriptor in _held.items():
        if place.is_relative_to(folder) and not _is_there(folder, descriptor):
            raise FolderMovedError(f"{folder} {_what_happened(folder, descriptor)}")


def _is_there(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a disk that fails, which the write will say
        return True


def _what_happened(folder: Path, descriptor: int) -> str:
    try:
        now = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:  # not Linux
        now = ""
    if not now or now == str(folder):
        return "was moved or replaced while it was written to; put it back, and give the same command again"
    if now.endswith(_DELETED):
        return "was deleted while it was written to; what it held is lost, and the same command starts anew"
    return (
        f"was renamed to {now} while it was written to; what was saved is there: rename it back, and give the same "
        "command again"
    )
