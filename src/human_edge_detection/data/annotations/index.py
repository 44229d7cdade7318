"""Packed annotations in a file, so that they are read out of their JSON once and then mapped into memory.

An index is named after the sha256 of the annotation file, which is computed anew at every opening: 0.2 s for the 200 MB
of COCO's persons. Size and time of change would be quicker and can lie (a copy that keeps times, an edit within the
clock's step), and that sha256 is the fingerprint by which runs tell their data apart. So no index is ever out of date:
other bytes have another name. An index carries a sha256 of itself, which is compared before anything in it is used. One
that is missing, damaged or of another version is made again; one that cannot be written costs only time and memory. Two
processes that make the same one replace each other's file by an equal one.

The file: :data:`_MARK`, sha256 of all that follows, length of the head (8 bytes), head (JSON), arrays, each at a
multiple of 64 bytes.
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

from human_edge_detection.data.annotations.annotation_set import BadSample
from human_edge_detection.data.annotations.columns import PackedPeople
from human_edge_detection.data.annotations.person_checks import Findings
from human_edge_detection.errors import DataError, StorageError
from human_edge_detection.files.cache import cache_folder
from human_edge_detection.files.read import open_regular_file
from human_edge_detection.files.write import delete, write_atomically

logger = logging.getLogger(__name__)

_VERSION: Final = 2
"""To be raised when annotations are judged or packed otherwise, so that older indexes do not count."""
_MARK: Final = b"human-edge-detection people %04d" % _VERSION
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_START: Final = len(_MARK) + _DIGEST_BYTES + 8
_ALIGNED: Final = 64
_MAX_BYTES: Final = 2**34
_UNUSED_SECONDS: Final = 90 * 24 * 3600
"""After so long without use an index is deleted when another one is written."""


class Index(NamedTuple):
    """What an index holds."""

    packed: PackedPeople
    findings: Findings


@dataclass(frozen=True, eq=False)
class _MappedPeople(PackedPeople):
    """Arrays in a file that is mapped into memory. For another process it is pickled as its path."""

    path: Path
    file: tuple[int, int]
    """Device and inode: the file that is mapped, whatever ``path`` leads to by now."""

    def __reduce__(self) -> tuple[Any, ...]:
        with suppress(OSError):
            status = self.path.stat()
            if (status.st_dev, status.st_ino) == self.file:
                return _map_again, (self.path,)
        return PackedPeople, tuple(getattr(self, field.name) for field in fields(PackedPeople))


def open_index(sha256: str) -> Index | None:
    """The index of the annotations with this sha256, mapped into memory, when it is there and sound."""
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
        os.utime(path)  # it is in use
    return index


def write_index(sha256: str, index: Index) -> None:
    """Writes an index and deletes those that nobody has used for long; where that is impossible it only warns."""
    path = _path(sha256)
    if path is None:
        return
    try:
        write_atomically(path, _as_file(sha256, index))
        _delete_unused(path.parent)
    except StorageError as error:
        logger.warning("%s; the annotations will be read again next time", error)


def _path(sha256: str) -> Path | None:
    folder = cache_folder()
    return folder and folder / "annotations" / f"{sha256}.index"


def _as_file(sha256: str, index: Index) -> memoryview:
    arrays = {field.name: np.ascontiguousarray(getattr(index.packed, field.name)) for field in fields(PackedPeople)}
    shapes = {name: (values.dtype.str, values.shape) for name, values in arrays.items()}
    head = json.dumps({"annotations": sha256, "findings": index.findings, "arrays": shapes}).encode()
    places = dict(_places(shapes, _START + len(head)))
    content = np.zeros(max(place + arrays[name].nbytes for name, place in places.items()), np.uint8)
    for name, place in places.items():
        content[place : place + arrays[name].nbytes] = arrays[name].reshape(-1).view(np.uint8)
    view, body = content.data, len(_MARK) + _DIGEST_BYTES
    view[body : _START + len(head)] = len(head).to_bytes(8, "little") + head
    view[:body] = _MARK + hashlib.sha256(view[body:]).digest()
    return view


def _places(shapes: Mapping[str, tuple[str, Any]], start: int) -> Iterator[tuple[str, int]]:
    for name, (dtype, shape) in shapes.items():
        start = -(-start // _ALIGNED) * _ALIGNED
        yield name, start
        start += np.dtype(dtype).itemsize * int(np.prod(shape))


def _map(path: Path) -> Index:
    """The index at ``path``; refuses one that is not whole or of other annotations than its name says."""
    with open_regular_file(path, max_bytes=_MAX_BYTES) as file:
        _check(file)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
    end = _START + int.from_bytes(mapped[_START - 8 : _START], "little")
    head = json.loads(mapped[_START:end])
    if head["annotations"] != path.stem:
        raise ValueError("it is of other annotations")
    arrays: dict[str, NDArray[Any]] = {
        name: np.ndarray(head["arrays"][name][1], head["arrays"][name][0], mapped, place)
        for name, place in _places(head["arrays"], end)
    }
    malformed, *counts = head["findings"]
    packed = _MappedPeople(**arrays, path=path, file=(status.st_dev, status.st_ino))
    return Index(packed, Findings(tuple(BadSample(*sample) for sample in malformed), *counts))


def _check(file: BufferedReader) -> None:
    if file.read(len(_MARK)) != _MARK:
        raise ValueError("it is no index of this version")
    digest = file.read(_DIGEST_BYTES)
    if hashlib.file_digest(file, "sha256").digest() != digest:
        raise ValueError("its checksum is wrong")


def _map_again(path: Path) -> PackedPeople:
    """What another process had mapped when it pickled it."""
    try:
        return _map(path).packed
    except (OSError, ValueError) as error:
        raise DataError(f"index {path} was lost while it was in use ({error}); start the same command again") from error


def _delete_unused(folder: Path) -> None:
    """Also what a killed process left half written."""
    oldest = time.time() - _UNUSED_SECONDS
    with suppress(OSError, StorageError):
        for path in folder.iterdir():
            if path.stat().st_mtime < oldest:
                delete(path)
