"""Which image and video files a user names: files, folders, patterns, and a list on standard input."""

from __future__ import annotations

import glob
import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_prediction.errors import SourceError
from human_edge_prediction.sources.names import Found, absolute, unique_names

IMAGES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".pbm", ".pgm", ".ppm"}
)
"""Suffixes of image files, in lower case."""
VIDEOS: Final = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".gif"})
"""Suffixes of video files, in lower case."""
STDIN: Final = "-"
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://")
_DIGITS: Final = re.compile(r"(\d+)")


class Source(NamedTuple):
    """A file to predict on.

    Attributes:
        path: As it was given.
        name: Of what is written for it: no other source has it; folders are parted by ``/``, and there is no suffix.
        is_video: Or one image.
    """

    path: Path
    name: str
    is_video: bool


class Listing(NamedTuple):
    """What was found.

    Attributes:
        sources: Each file once, in the order in which they were given.
        problems: A line for each entry of the list on standard input that cannot be used.
    """

    sources: tuple[Source, ...]
    problems: tuple[str, ...]


def find_sources(given: Sequence[str], lines: Iterable[bytes] = ()) -> Listing:
    """Finds the files.

    A folder stands for the image and video files directly in it, in natural order (``2.jpg`` before ``10.jpg``). A
    pattern has ``*``, ``?`` or ``[...]``, and ``**`` for folders at any depth. ``-`` stands for ``lines``.

    Args:
        given: Files, folders, patterns, ``-``.
        lines: A path a line, what standard input holds.

    Raises:
        SourceError: One of ``given`` is missing, or holds no image and no video.
    """
    found: list[Found] = []
    problems: list[str] = []
    for one in given:
        if one == STDIN:
            # Windows' programs begin a text with a byte order mark.
            for line in filter(None, (line.rstrip(b"\r\n").removeprefix(BOM_UTF8) for line in lines)):
                try:
                    found += _expand(os.fsdecode(line))
                except SourceError as error:
                    problems.append(str(error))
        else:
            found += _expand(one)
    first: dict[Path, Found] = {}
    for file in found:
        first.setdefault(absolute(file.path), file)
    found = list(first.values())
    if not found and not problems:
        raise SourceError(f"{' '.join(given)}: no image and no video; give files, folders or a list")
    names = unique_names(found)
    return Listing(
        tuple(map(Source, (one.path for one in found), names, (is_video(f.path) for f in found))), tuple(problems)
    )


def is_video(path: Path) -> bool:
    """Whether the suffix is one of a video; any other file is taken for an image."""
    return path.suffix.lower() in VIDEOS


def _expand(given: str) -> list[Found]:
    """The files that one argument stands for."""
    if not given:
        raise SourceError("one of the sources is an empty text; is a variable of the shell not set?")
    path = Path(given)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:
        raise SourceError(f"{given}: cannot be opened ({error.strerror}); check the path") from error
    if is_folder:
        return _in_folder(path)
    if is_there:
        return [Found(path, path.name)]
    if glob.has_magic(given):
        return _matches(given)
    if _ADDRESS.match(given):
        raise SourceError(f"{given}: is an address; download it and give the file")
    raise SourceError(f"{given}: no such file or folder; check the path")


def _in_folder(folder: Path) -> list[Found]:
    try:
        inside = sorted(folder.iterdir(), key=_natural)
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read ({error.strerror}); check its rights") from error
    files = [Found(path, path.name) for path in inside if _is_known(path)]
    if not files:
        below = any(path.is_dir() for path in inside)
        advice = f"; for those in folders below, give '{folder}/**'" if below else ""
        raise SourceError(f"{folder}: no image and no video in this folder of {len(inside)} entries{advice}")
    return files


def _matches(pattern: str) -> list[Found]:
    paths = sorted(map(Path, glob.glob(pattern, recursive=True)), key=_natural)  # noqa: PTH207 - absolute ones too
    base = _fixed_folder(pattern)
    files = [Found(path, os.path.relpath(path, base)) for path in paths if _is_known(path)]
    if not files:
        what = f"none of {len(paths)} matches is an image or a video" if paths else "nothing matches"
        raise SourceError(f"{pattern}: {what}; check the pattern, and quote it so that the shell leaves it alone")
    return files


def _fixed_folder(pattern: str) -> str:
    """The part of a pattern before its first wildcard."""
    parts = Path(pattern).parts
    count = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:count]))


def _is_known(path: Path) -> bool:
    """An image or a video, and no hidden file, such as a copy of another system's metadata (``._1.jpg``)."""
    return path.suffix.lower() in IMAGES | VIDEOS and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Order in which numbers count as numbers."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(path.as_posix().lower())
    ]
