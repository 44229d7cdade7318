"""A folder that appears whole, in one step, and takes the place of the one before it."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from human_edge_detection.errors import DataError
from human_edge_detection.files.lock import hold

logger = logging.getLogger(__name__)

_NEW: Final = ".tmp"
_FORMER: Final = ".old"
_RANDOM: Final = "[a-z0-9_]{8}"
"""As :func:`tempfile.mkdtemp` makes names."""


@contextmanager
def whole_folder(folder: Path, what: str, *, wait: float = 0.0) -> Iterator[Path]:
    """A new folder to fill, which becomes ``folder`` in the end; an error leaves everything as it was.

    For one process at a time. What a killed one has left is cleared up first, and said: a folder half made is deleted,
    a former one that was taken out of its place is put back, or deleted when the new one is there.

    Args:
        folder: One that is there is replaced, unless the new one is left empty. A link stays: what it leads to is
            replaced.
        what: It is, for messages: ``"data set"``.
        wait: Longest time to wait for another process that makes it, seconds.

    Raises:
        BusyError: Another process makes it.
        DataError: It cannot be replaced: a circle of links, or the root of a file system.
        OSError: It cannot be written.
    """
    place = _resolved(folder)
    made = [parent for parent in place.parents if not parent.exists()]
    try:
        with hold(
            place.with_name(f".{place.name}.lock"), f"{what} {folder}", advice="wait for it", wait=wait, keep=False
        ):
            _clear_up(place)
            building = _sibling(place, _NEW)
            try:
                yield building
                if any(building.iterdir()):
                    building.chmod(0o755)
                    _put_in_place(building, place)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    finally:
        for parent in made:
            with suppress(OSError):  # it is in use now
                parent.rmdir()


def taken_out(folder: Path) -> Path | None:
    """The former ``folder`` beside a missing one, when a process was killed that was about to replace it."""
    found = [] if folder.exists() else [path for path in _siblings(folder.absolute(), _FORMER) if any(path.iterdir())]
    return max(found, key=lambda path: path.stat().st_ctime_ns, default=None)


def _resolved(folder: Path) -> Path:
    try:
        place = folder.resolve()
    except RuntimeError as error:
        raise DataError(f"{folder} is a link that leads to itself; give another folder") from error
    if place.is_mount():
        raise DataError(f"{folder} is the root of a file system and cannot be replaced; give a folder below it")
    return place


def _clear_up(place: Path) -> None:
    former = taken_out(place)
    if former is not None:
        former.replace(place)
        logger.warning("%s is back: an earlier command was killed when it was about to replace it", place)
    for left in (*_siblings(place, _NEW), *_siblings(place, _FORMER)):
        logger.info("deleting %s, which a command that was killed has left", left)
        shutil.rmtree(left, ignore_errors=True)


def _put_in_place(building: Path, place: Path) -> None:
    if not place.exists():
        building.replace(place)
        return
    if any(place.iterdir()):
        logger.info("replacing what is in %s", place)
    former = _sibling(place, _FORMER)
    try:
        place.replace(former)
        building.replace(place)
    except BaseException:
        if not place.exists():
            former.replace(place)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _sibling(place: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=suffix, dir=place.parent))


def _siblings(place: Path, suffix: str) -> list[Path]:
    name = re.compile(rf"\.{re.escape(place.name)}\.{_RANDOM}{re.escape(suffix)}")
    if not place.parent.is_dir():
        return []
    return [
        path for path in place.parent.iterdir() if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
