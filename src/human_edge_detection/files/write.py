"""The few ways in which files of a run change: each in one step, on the disk when it returns.

All of them go through this module's ``os`` calls and no others, so a test can make any one of them fail. Each may raise
:class:`~human_edge_detection.errors.FolderMovedError` below a folder that is held (``files/held.py``).
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from human_edge_detection.errors import StorageError
from human_edge_detection.files.held import check_held

_CHUNK_BYTES = 1 << 24


def write_json(path: Path, data: Any) -> None:
    """Replaces ``path`` by ``data`` as JSON in one step: readers see the old or the new file, whole.

    Raises:
        StorageError: It cannot be written.
    """
    write_atomically(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """As :func:`write_json` a list, one line an entry: json indents ten times as slowly as it writes.

    Raises:
        StorageError: It cannot be written.
    """
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    write_atomically(path, f"[\n{lines}\n]\n".encode())


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Replaces ``path`` by ``content`` in one step, on the disk before it gets its name.

    Raises:
        StorageError: It cannot be written; what was there before is still there.
    """
    with _storing(path), _replacing(path) as temporary:
        _write(temporary, memoryview(content))


def link_atomically(source: Path, name: Path) -> None:
    """Gives ``source`` the second name ``name`` in one step, without a second copy where links work.

    Raises:
        StorageError: It cannot be written; what was there before is still there.
    """
    with _storing(name), _replacing(name) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            _write(temporary, memoryview(source.read_bytes()))


def existing_folder(path: Path) -> Path:
    """``path``, or the nearest existing one above it."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def set_aside(path: Path) -> Path:
    """Renames ``path`` to ``bad_<name>``, in place of an earlier one; returns the new path.

    Raises:
        StorageError: It cannot be renamed.
    """
    aside = path.with_name(f"bad_{path.name}")
    with _storing(path):
        os.replace(path, aside)
    return aside


def delete(path: Path) -> None:
    """Deletes the file ``path`` if it is there.

    Raises:
        StorageError: It cannot be deleted.
    """
    with _storing(path), suppress(FileNotFoundError):
        os.unlink(path)


def delete_folder(path: Path) -> None:
    """Deletes the folder ``path`` with all in it if it is there.

    Raises:
        StorageError: It cannot be deleted.
    """
    with _storing(path), suppress(FileNotFoundError):
        shutil.rmtree(path)


def delete_leftovers(folder: Path) -> None:
    """Deletes what killed processes left half written in ``folder``. Only for one who holds the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        delete(leftover)


def make_folder(path: Path) -> None:
    """Makes the folder ``path`` and those above it.

    Raises:
        StorageError: It cannot be made, or a file is in its way.
    """
    with _storing(path):
        if not path.is_dir():
            os.makedirs(path, exist_ok=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` at the end, or is gone after an error."""
    make_folder(path.parent)
    # Not tempfile: its files are readable by their owner alone, and a run folder is often shared.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _write(path: Path, content: memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        while content:
            content = content[os.write(descriptor, content[:_CHUNK_BYTES]) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the new name, too, is on the disk
    finally:
        os.close(descriptor)


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    check_held(path)
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise StorageError(
            f"{path} cannot be written ({problem}); check free space, quota and rights of its folder"
        ) from error
