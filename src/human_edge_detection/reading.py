"""Reading a file that a user names: never a pipe that would block, never more than memory should hold."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of ``path``.

    Raises:
        OSError: It is missing, no regular file (a folder, a pipe, a device), or larger than ``max_bytes``;
            ``strerror`` says which.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, os.strerror(number) if number == errno.EISDIR else "Not a regular file", str(path))
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes, which is what is read", str(path))
    return path.read_bytes()
