"""Logging: one logger name for the package, one format, to the terminal (stderr) and to the run's own file."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import threading
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TextIO, cast

from human_edge_detection.wording import printable

if TYPE_CHECKING:
    from rich.console import Console

LOGGER_NAME = "human_edge_detection"
_MAX_FILE_BYTES: Final = 5_000_000


@functools.cache
def terminal() -> Console:
    """The one console on stderr: log lines and progress bars share it, so that they do not overwrite each other."""
    from human_edge_detection.console import TextConsole

    return TextConsole(file=cast("IO[str]", _Stderr()))


def setup_logging(*, level: int = logging.INFO) -> None:
    """Sends the package's log to stderr, and shows progress bars there where that is a terminal.

    Args:
        level: Of the :mod:`logging` module; ``logging.WARNING`` leaves out what goes well.

    Example:
        hed.setup_logging()
    """
    logger = logging.getLogger(LOGGER_NAME)
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(_terminal_log() if is_for_people(sys.stderr) else _PlainLog())
    threading.excepthook = _log_thread_error


def is_for_people(stream: TextIO | None) -> bool:
    """Whether ``stream`` shows colours and what moves: a terminal, or any with FORCE_COLOR; never with NO_COLOR.

    See https://no-color.org; ``TERM=dumb`` is a terminal that can do neither.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream is not None and not stream.closed and stream.isatty())


def _terminal_log() -> logging.Handler:
    from rich.logging import RichHandler

    handler = RichHandler(console=terminal(), show_path=False, log_time_format="[%X]")
    handler.setFormatter(_Line("%(message)s"))
    return handler


class _Line(logging.Formatter):
    """One line a message, of visible text; a traceback below it keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The message with escapes in place of control characters, which a file's name may hold."""
        record.message = printable(record.message)
        return super().formatMessage(record)


class _Stderr(io.TextIOBase):
    """What stderr is at the moment; a text that cannot be written there is lost, and nothing else.

    The reader of a log may go away while the run goes on: rich would end the process.
    """

    def write(self, text: str) -> int:
        """Writes ``text``, or drops it."""
        with suppress(OSError, ValueError):  # ValueError: closed
            stream = self._stream()
            if stream is not None:
                stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hands on what was written."""
        with suppress(OSError, ValueError):
            stream = self._stream()
            if stream is not None:
                stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal now."""
        stream = self._stream()
        return stream is not None and not stream.closed and stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """How text becomes bytes."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    @staticmethod
    def _stream() -> TextIO | None:
        # A live display of rich puts itself in the place of stderr, and writes here.
        stream: TextIO | None = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        return stream


class _PlainLog(logging.Handler):
    """A line stays a line, for files and pipes."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = _Stderr()
        self.setFormatter(_Line("[%(asctime)s] %(levelname)-8s %(message)s", "%X"))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        self._stream.write(f"{self.format(record)}\n")
        self._stream.flush()


def shows_progress() -> bool:
    """Whether progress bars are shown: where the log goes to the terminal, and that is one.

    A program that only calls functions of this package has not asked for either.
    """
    handlers = logging.getLogger(LOGGER_NAME).handlers
    return any(getattr(handler, "console", None) is terminal() for handler in handlers) and terminal().is_terminal


def _log_thread_error(error: threading.ExceptHookArgs) -> None:
    """A thread of a library that cannot write is worth a line; anything else is a bug and its traceback."""
    if isinstance(error.exc_value, OSError):
        logging.getLogger(LOGGER_NAME).warning("writing in the background failed: %s", error.exc_value)
    else:
        threading.__excepthook__(error)


class _RunLog(RotatingFileHandler):
    """A log file of bounded size; a line that cannot be written is lost, and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Says nothing: the same line is on the terminal."""


def log_to_file(file: Path) -> logging.Handler:
    """Also appends the package's log to ``file``; ``stop_logging_to`` ends it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _RunLog(file, maxBytes=_MAX_FILE_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(_Line("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger(LOGGER_NAME).addHandler(handler)
    return handler


def stop_logging_to(handler: logging.Handler) -> None:
    """Ends what :func:`log_to_file` began."""
    logging.getLogger(LOGGER_NAME).removeHandler(handler)
    handler.close()
