"""Finds the image files of annotations, also those whose names are written in another way than in the file system.

Names differ by case, Unicode form, separator, ``%20`` or folders in front when a data set was made on another system,
downloaded, or moved. A near file is taken where only one can be meant.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImages, AnnotationColumns
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.equal_outlines import owners_of
from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import is_file

_MAX_FILES: Final = 2_000_000
"""Files below a folder that are compared with names."""
_MAX_CANDIDATES: Final = 3
_PATH_CHARACTERS: Final = re.compile(r"^[/\\]|:|\.\.")
"""A file name with one of these may lie outside of the folder itself, and its parts have to be checked."""


class FoundFiles(NamedTuple):
    """The files that names mean.

    Attributes:
        taken: The file of each name that is written in another way, relative to the folder.
        missing: What is near to each name that no file has, for messages; empty where nothing is.
    """

    taken: Mapping[str, str]
    missing: Mapping[str, str]


def find_files(names: Iterable[str], folder: Path) -> FoundFiles:
    """Finds the files of ``names`` below ``folder``.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"images folder {folder} does not exist; give the folder with the image files")
    listed = [*names]
    taken = {name: plain for name in listed if (plain := _plain(name)) != name}
    unknown = [name for name in _absent(listed, folder) if not _exists(folder, taken.get(name))]
    if not unknown:
        return FoundFiles(taken, {})
    nearest, missing = _near_files(unknown, {*listed} - {*unknown}, folder)
    return FoundFiles({**{name: file for name, file in taken.items() if name not in missing}, **nearest}, missing)


def with_files(people: AnnotationSet, packed: AnnotationColumns) -> tuple[AnnotationSet, FoundFiles]:
    """``people`` with the names of the files that were found; two names of one file become one image.

    Args:
        people: All images of ``packed``.
        packed: The columns.

    Returns:
        The annotations, and which files were found.

    Raises:
        DataError: The folder does not exist, a name leads out of it, or one file has two sizes.
    """
    names = people.images.file_names
    found = find_files(names, people.images_dir)
    for number, name in enumerate(names):
        if _leads_out(name) and name not in found.taken:
            near = found.missing.get(name)
            raise DataError(
                f"{people.file}: image {people.images.ids[number]}: file_name {shorten(name)} leads out of the images "
                f"folder; use a relative path{near and f', near is {near}'}"
            )
    if not found.taken:
        return people, found
    files = [found.taken.get(name, name) for name in names]
    first = {file: number for number, file in reversed([*enumerate(files)])}
    targets = np.array([first[file] for file in files], np.int64)
    sizes = people.images.sizes
    if (differs := np.flatnonzero((sizes != sizes[targets]).any(axis=1))).size:
        one = int(differs[0])
        raise DataError(
            f"{people.file}: images {people.images.ids[targets[one]]} and {people.images.ids[one]} are both the file "
            f"{shorten(files[one])} and differ in size; list it once"
        )
    images = AnnotatedImages(_merged(packed, files, targets))
    findings = (*people.findings, *_findings(people, names, files, targets))
    return replace(people, images=images, findings=findings), found


def _findings(
    people: AnnotationSet, names: Sequence[str], files: Sequence[str], targets: NDArray[np.int64]
) -> Iterator[Finding]:
    changed = [number for number, file in enumerate(files) if file != names[number]]
    first = changed[0]
    text = (
        f"{len(changed)} of {len(names)} image files have another name in {people.images_dir} than in the annotations "
        f"(first: {shorten(names[first])} is {shorten(files[first])}), and are taken as these"
    )
    yield Finding("names", text, False, "hed prepare-data writes the names as they are")
    twice = np.flatnonzero(targets != np.arange(len(targets)))
    if len(twice):
        one = int(twice[0])
        text = (
            f"{len(twice)} images are listed under two names (first: {shorten(names[targets[one]])} and "
            f"{shorten(names[one])}), and are taken as one image each with the annotations of both"
        )
        yield Finding("names", text, False, "list each image once")


def _merged(packed: AnnotationColumns, files: Sequence[str], targets: NDArray[np.int64]) -> AnnotationColumns:
    """``packed`` under other file names, each image with the annotations of all that ``targets`` leads to it."""
    kept = np.unique(targets)
    images = np.searchsorted(kept, targets)
    owners = images[owners_of(packed)]
    is_crowd = np.arange(len(owners)) >= packed.first_crowds[owners_of(packed)]
    order = np.lexsort((is_crowd, owners))
    ends = np.cumsum(np.bincount(owners, minlength=len(kept)))
    first_persons = np.concatenate([[0], ends]).astype(np.int64)
    encoded = [files[number].encode() for number in kept.tolist()]
    return AnnotationColumns(
        image_ids=packed.image_ids[kept],
        sizes=packed.sizes[kept],
        exhaustive=np.bincount(images[~packed.exhaustive], minlength=len(kept)) == 0,  # none of its entries denies it
        terms=packed.terms[kept],
        terms_texts=packed.terms_texts,
        names=np.frombuffer(b"".join(encoded), np.uint8),
        name_offsets=np.concatenate([[0], np.cumsum([len(name) for name in encoded])]).astype(np.int64),
        first_persons=first_persons,
        first_crowds=first_persons[:-1] + np.bincount(owners[~is_crowd], minlength=len(kept)),
        annotation_ids=packed.annotation_ids[order],
        boxes=packed.boxes[order],
        polygons=packed.polygons[order],
        runs=packed.runs[order],
        polygon_offsets=packed.polygon_offsets,
        points=packed.points,
        run_lengths=packed.run_lengths,
    )


def _leads_out(name: str) -> bool:
    """Whether a name may lie outside of the folder that it is relative to."""
    if not _PATH_CHARACTERS.search(name):
        return False
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    return PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor) or ".." in parts


def _plain(name: str) -> str:
    """A name without ``./`` and doubled separators."""
    if name.startswith("./") or "//" in name or "/./" in name:
        plain = posixpath.normpath(name)
        return name if _leads_out(plain) or "://" in name else plain
    return name


def _exists(folder: Path, name: str | None) -> bool:
    return name is not None and is_file(folder / name)


def _absent(names: Sequence[str], folder: Path) -> list[str]:
    """The names of no file; lists each folder once and asks only for names not listed."""
    inside = [name for name in names if not _leads_out(name)]
    folders = {name.rpartition("/")[0] for name in inside}
    listed = {sub: _files_in(folder / sub) for sub in folders}
    unlisted = {name for name in inside if name.rpartition("/")[2] not in listed[name.rpartition("/")[0]]}
    absent = {name for name in unlisted if not is_file(folder / name)}
    return [name for name in names if name in absent or _leads_out(name)]


def _files_in(folder: Path) -> set[str]:
    """Names of the files in ``folder``; empty if it cannot be listed. Ten times as fast as a check of each file."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _near_files(names: Sequence[str], others: set[str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The file of each name that only one is near to, and for each other name what is near.

    A file that has a name of its own among ``others`` is near only to a name that is written as the whole of it.
    """
    by_end: defaultdict[str, list[str]] = defaultdict(list)
    for number, file in enumerate(_walk(folder)):
        if number >= _MAX_FILES:
            break
        by_end[_folded(file)[-1]].append(file)
    taken: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in names:
        wanted = _folded(name)
        candidates = by_end.get(wanted[-1], [])
        whole = [file for file in candidates if _folded(file) == wanted]
        free = [file for file in candidates if file not in others]
        best = whole or _longest_tail(wanted, free)
        if len(best) == 1 and best[0] != name and is_file(folder / best[0]):
            taken[name] = best[0]
        else:
            missing[name] = _named(sorted({*(best or candidates)} - {name}))
    # Two images in different folders that claim one file: which of them it is cannot be known.
    claims: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for name, file in taken.items():
        claims[file].add(_folded(name))
    unclear = [name for name, file in taken.items() if len(claims[file]) > 1]
    missing |= {name: f"{shorten(taken.pop(name))}, which others are near to as well" for name in unclear}
    return taken, missing


def _longest_tail(wanted: tuple[str, ...], candidates: Sequence[str]) -> list[str]:
    """The candidates that have most folders before the file name in common with ``wanted``."""
    lengths = {file: _common_tail(wanted, _folded(file)) for file in candidates}
    most = max(lengths.values(), default=0)
    return [file for file, length in lengths.items() if length == most]


def _common_tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    differs = (number for number, (one, other) in enumerate(zip(a[::-1], b[::-1], strict=False)) if one != other)
    return next(differs, min(len(a), len(b)))


def _folded(name: str) -> tuple[str, ...]:
    """The parts of a path, as they are the same however it is written."""
    plain = unicodedata.normalize("NFC", unquote(name).replace("\\", "/")).casefold()
    parts = tuple(part for part in plain.split("/") if part not in ("", "."))
    return parts or ("",)


def _walk(folder: Path) -> Iterator[str]:
    """The files below a folder, relative to it."""
    for root, _, files in os.walk(folder):
        inside = os.path.relpath(root, folder)
        prefix = "" if inside == "." else inside.replace(os.sep, "/") + "/"
        yield from (prefix + file for file in files)


def _named(files: Sequence[str]) -> str:
    more = f" and {len(files) - _MAX_CANDIDATES} more" if len(files) > _MAX_CANDIDATES else ""
    return ", ".join(map(shorten, files[:_MAX_CANDIDATES])) + more
