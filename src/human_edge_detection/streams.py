"""The standard streams of a command: always open, and no error when nobody reads them any more."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import suppress
from errno import EIO
from typing import Any, Final, TextIO

_STDOUT: Final = 1
_STDERR: Final = 2


def keep_streams() -> None:
    """Makes the standard streams of this process such that a command comes to its end, whoever listens.

    A closed one (``>&-``) becomes the null device, before a file of this process gets its number. What is written after
    the reader has gone away (``| head``, a dead ssh session) is dropped. A standard output that cannot be written for
    another reason, as on a full disk, is an error; a standard error never is.
    """
    for number in range(_STDERR + 1):
        _open_if_closed(number)
    sys.stdout = _kept(sys.stdout, _STDOUT)
    sys.stderr = _kept(sys.stderr, _STDERR)


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: all below are open
        os.set_inheritable(number, True)


def _kept(stream: TextIO | None, number: int) -> TextIO:
    """``stream`` on the same file, as :func:`keep_streams` promises; itself when it is no plain one of the interpreter.

    Paths of Linux are bytes; one that is no text must not end the message that complains about it.
    """
    if stream is not None and not _is_plain(stream, number):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        return stream
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Heard(number, "w", closefd=False)),
        encoding=None if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=number == _STDERR or os.isatty(number),
    )


def _is_plain(stream: TextIO, number: int) -> bool:
    """Whether ``stream`` is the interpreter's own: not one that a program put there, and not one of ours."""
    if type(stream) is not io.TextIOWrapper or isinstance(getattr(stream.buffer, "raw", None), _Heard):
        return False
    with suppress(OSError, ValueError):  # closed
        return stream.fileno() == number
    return True


class _Heard(io.FileIO):
    """One end of a stream whose other end may go away."""

    _has_failed = False

    def write(self, content: Any, /) -> int:
        """Writes bytes; drops them when nobody can get them, and after an error that was raised, such as a full disk.

        The interpreter writes again what is left when it ends: the one line and the exit code have been given by then.
        """
        try:
            return super().write(content)
        except OSError as error:
            # A terminal that was closed gives EIO, as a failing disk does.
            closed = error.errno == EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
            if self.fileno() == _STDERR or closed or isinstance(error, ConnectionError) or self._has_failed:
                return memoryview(content).nbytes
            self._has_failed = True
            raise
