"""Names of what is written for files that come from many folders: no two alike, and no longer than that takes."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple


class Found(NamedTuple):
    """A file, and its path below the folder that was named, which is its name when no other has that."""

    path: Path
    below: str


def absolute(path: Path) -> Path:
    """``path`` from the root on, without ``..``; links stay, as their names are meant."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def unique_names(files: Sequence[Found]) -> list[str]:
    """A name for each file, without its suffix, folders parted by ``/``.

    Files of one name in several folders get as many of these in front as tell them apart (``a/x``, ``b/x``). What
    differs in its suffix alone keeps it (``x.jpg``, ``x.png``). So does a name that is another file's folder, since the
    frames of a video are written into a folder of its name. Upper and lower case count as equal, as some systems have
    it.
    """
    full = [absolute(file.path) for file in files]
    depths = [len(PurePath(file.below).parts) for file in files]
    with_suffix = [False] * len(files)

    def name(number: int) -> str:
        path = full[number] if with_suffix[number] else full[number].with_suffix("")
        parts = path.relative_to(path.anchor).parts
        return "/".join(parts[-depths[number] :])

    longest = max((len(path.parts) for path in full), default=0)
    for _ in range(longest + 1):
        clashes = _clashes([name(number) for number in range(len(files))])
        if not clashes:
            break
        for clash in clashes:
            same_folder = len({full[number].parent for number in clash}) == 1
            for number in clash:
                if same_folder:
                    with_suffix[number] = True
                elif depths[number] < len(full[number].parts) - 1:
                    depths[number] += 1
                else:
                    with_suffix[number] = True
    return _numbered([name(number) for number in range(len(files))])


def _clashes(names: Sequence[str]) -> list[list[int]]:
    """The positions of names that are equal, and of those that are a folder of another name."""
    by_name: dict[str, list[int]] = defaultdict(list)
    folders: set[str] = set()
    for number, name in enumerate(names):
        folded = _folded(name)
        by_name[folded].append(number)
        folders.update(folded[:position] for position, character in enumerate(folded) if character == "/")
    return [numbers for name, numbers in by_name.items() if len(numbers) > 1 or name in folders]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _numbered(names: Sequence[str]) -> list[str]:
    """Those that are still equal, in all but upper and lower case, with a number."""
    taken: set[str] = set()
    told = []
    for name in names:
        candidate, number = name, 2
        while _folded(candidate) in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(_folded(candidate))
        told.append(candidate)
    return told
