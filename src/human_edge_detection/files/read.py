"""Reading a file that a user names: never a pipe that would block, never more than memory should hold."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

_MAX_HASHED_BYTES = 8 << 30
"""Larger than any file that is read."""


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of ``path``.

    Raises:
        OSError: It is missing, no regular file (a folder, a pipe, a device), or larger than ``max_bytes``;
            ``strerror`` says which.
    """
    _check(path, max_bytes)
    return path.read_bytes()


def open_regular_file(path: Path, *, max_bytes: int) -> BufferedReader:
    """``path``, open for reading.

    Raises:
        OSError: As :func:`read_regular_file` does.
    """
    _check(path, max_bytes)
    return path.open("rb")


def hash_regular_file(path: Path, *, max_bytes: int) -> str:
    """The sha256 of the bytes of ``path``, which are never all in memory.

    Raises:
        OSError: As :func:`read_regular_file` does.
    """
    with open_regular_file(path, max_bytes=max_bytes) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: Path) -> str | None:
    """The sha256 of the file at ``path``, remembered while it stays as it is; None when it cannot be read."""
    try:
        status = path.stat()
        return _sha256(os.fspath(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except (OSError, ValueError):  # ValueError: no text that can be a path
        return None


@lru_cache(maxsize=1024)
def _sha256(path: str, size: int, changed: int, touched: int) -> str:
    return hash_regular_file(Path(path), max_bytes=_MAX_HASHED_BYTES)


def is_file(path: Path) -> bool:
    """Whether ``path`` is a file; False when the system refuses the name, for example as too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def _check(path: Path, max_bytes: int) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, os.strerror(number) if number == errno.EISDIR else "Not a regular file", str(path))
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes, which is what is read", str(path))
