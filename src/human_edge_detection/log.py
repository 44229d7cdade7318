"""Logging: one logger name for the package, one format, to the terminal (stderr) and to the run's own file."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LOGGER_NAME = "human_edge_detection"


@functools.cache
def terminal() -> Console:
    """The one console on stderr: log lines and progress bars share it, so that they do not overwrite each other."""
    from rich.console import Console

    return Console(stderr=True)


def setup_logging(*, level: int = logging.INFO) -> None:
    """Sends the package's log to the terminal."""
    from rich.logging import RichHandler

    logger = logging.getLogger(LOGGER_NAME)
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(RichHandler(console=terminal(), show_path=False, log_time_format="[%X]"))


def log_to_file(file: Path) -> logging.Handler:
    """Also appends the package's log to ``file``; ``stop_logging_to`` ends it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger(LOGGER_NAME).addHandler(handler)
    return handler


def stop_logging_to(handler: logging.Handler) -> None:
    """Ends what :func:`log_to_file` began."""
    logging.getLogger(LOGGER_NAME).removeHandler(handler)
    handler.close()
