"""An index of packed annotations: JSON is parsed once, and later the index file is mapped into memory.

An index is named after the sha256 of the annotation file, which is computed at every opening: 0.2 s for the 200 MB of
COCO's persons. File size and modification time would be quicker, but they can be equal for different contents (a copy
that keeps times, an edit within the resolution of the clock), and the same sha256 is the fingerprint by which runs tell
their data apart. So an index is never out of date: other bytes have another name. An index carries a sha256 of itself,
which is compared before anything in it is used. One that is missing, damaged or of another version is written again;
one that cannot be written costs only time and memory. Two processes that write the same index replace each other's file
by an equal one.

File format: :data:`_MAGIC`, sha256 of all that follows, length of the header (8 bytes, little endian), header (JSON),
arrays, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import BadImage
from human_edge_detection.data.annotations.columns import AnnotationColumns
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.findings import Findings
from human_edge_detection.errors import DataError, StorageError
from human_edge_detection.files.cache import cache_folder
from human_edge_detection.files.read import open_regular_file
from human_edge_detection.files.write import delete, write_atomically

logger = logging.getLogger(__name__)

_VERSION: Final = 7
"""Raise it when annotations are checked or packed in another way, so that older indexes are not used."""
_MAGIC: Final = b"human-edge-detection people %04d" % _VERSION
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_HEADER_START: Final = len(_MAGIC) + _DIGEST_BYTES + 8
_ALIGNMENT_BYTES: Final = 64
_MAX_BYTES: Final = 2**34
"""Largest index file."""
_MAX_UNUSED_SECONDS: Final = 90 * 24 * 3600
"""An index that was not used for longer is deleted when another one is written."""


class Index(NamedTuple):
    """The content of an index.

    Attributes:
        packed: The annotations.
        findings: What their checks found.
        whole: What was found about the file as a whole.
    """

    packed: AnnotationColumns
    findings: Findings
    whole: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class _MappedColumns(AnnotationColumns):
    """Columns in a file that is mapped into memory; pickled as its path, so that other processes map it too."""

    path: Path
    file: tuple[int, int]
    """Device and inode of the mapped file: ``path`` may lead to another file by now, then the arrays are pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        with suppress(OSError):
            status = self.path.stat()
            if (status.st_dev, status.st_ino) == self.file:
                return _map_again, (self.path,)
        return AnnotationColumns, tuple(getattr(self, field.name) for field in fields(AnnotationColumns))


def open_index(sha256: str) -> Index | None:
    """Maps the index of the annotation file with this sha256; None if there is none or it is damaged."""
    path = _path(sha256)
    if path is None:
        return None
    try:
        index = _map(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.info("index %s cannot be used (%s); it is made again", path, error)
        return None
    with suppress(OSError):
        os.utime(path)  # marks it as used
    return index


def write_index(sha256: str, index: Index) -> None:
    """Writes the index of the annotation file with this sha256 and deletes old ones; logs a warning if it cannot."""
    path = _path(sha256)
    if path is None:
        return
    try:
        write_atomically(path, _as_file(sha256, index))
        _delete_unused(path.parent)
    except StorageError as error:
        logger.warning("%s; the annotations will be read again next time", error)


def _path(sha256: str) -> Path | None:
    """The path of an index; None without a cache folder."""
    folder = cache_folder()
    return folder and folder / "annotations" / f"{sha256}.index"


def _as_file(sha256: str, index: Index) -> memoryview:
    """The bytes of an index file."""
    # 1. The header: names, types and shapes of the arrays.
    arrays = {
        field.name: np.ascontiguousarray(getattr(index.packed, field.name)) for field in fields(AnnotationColumns)
    }
    shapes = {name: (values.dtype.str, values.shape) for name, values in arrays.items()}
    found = {"findings": index.findings, "whole": index.whole}
    head = json.dumps({"annotations": sha256, **found, "arrays": shapes}).encode()
    # 2. The arrays at aligned positions.
    places = dict(_places(shapes, _HEADER_START + len(head)))
    content = np.zeros(max(place + arrays[name].nbytes for name, place in places.items()), np.uint8)
    for name, place in places.items():
        content[place : place + arrays[name].nbytes] = arrays[name].reshape(-1).view(np.uint8)
    # 3. The header before them, and the checksum of both.
    view, body = content.data, len(_MAGIC) + _DIGEST_BYTES
    view[body : _HEADER_START + len(head)] = len(head).to_bytes(8, "little") + head
    view[:body] = _MAGIC + hashlib.sha256(view[body:]).digest()
    return view


def _places(shapes: Mapping[str, tuple[str, Any]], start: int) -> Iterator[tuple[str, int]]:
    """Name and position in the file of each array, aligned, the first one from ``start`` on."""
    for name, (dtype, shape) in shapes.items():
        start = -(-start // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES  # rounded up
        yield name, start
        start += np.dtype(dtype).itemsize * int(np.prod(shape))


def _map(path: Path) -> Index:
    """Maps the index at ``path``; raises ValueError if it is damaged or belongs to another annotation file."""
    with open_regular_file(path, max_bytes=_MAX_BYTES) as file:
        _check(file)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
    end = _HEADER_START + int.from_bytes(mapped[_HEADER_START - 8 : _HEADER_START], "little")
    head = json.loads(mapped[_HEADER_START:end])
    if head["annotations"] != path.stem:
        raise ValueError("it is of other annotations")
    arrays: dict[str, NDArray[Any]] = {
        name: np.ndarray(head["arrays"][name][1], head["arrays"][name][0], mapped, place)
        for name, place in _places(head["arrays"], end)
    }
    malformed, *counts = head["findings"]
    packed = _MappedColumns(**arrays, path=path, file=(status.st_dev, status.st_ino))
    findings = Findings(tuple(BadImage(*sample) for sample in malformed), *counts)
    return Index(packed, findings, tuple(Finding(*one) for one in head["whole"]))


def _check(file: BufferedReader) -> None:
    """Raises ValueError unless the file begins as an index of this version and has the right checksum."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no index of this version")
    digest = file.read(_DIGEST_BYTES)
    if hashlib.file_digest(file, "sha256").digest() != digest:
        raise ValueError("its checksum is wrong")


def _map_again(path: Path) -> AnnotationColumns:
    """Maps an index again in the process that unpickles it."""
    try:
        return _map(path).packed
    except (OSError, ValueError) as error:
        raise DataError(f"index {path} was lost while it was in use ({error}); start the same command again") from error


def _delete_unused(folder: Path) -> None:
    """Deletes files that were not used for long, indexes as well as unfinished files of killed processes."""
    oldest = time.time() - _MAX_UNUSED_SECONDS
    with suppress(OSError, StorageError):
        for path in folder.iterdir():
            if path.stat().st_mtime < oldest:
                delete(path)
