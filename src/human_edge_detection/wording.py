"""Numbers in words, and words that a terminal takes for nothing else."""

import re
from typing import Final

_NOT_PRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, what turns the direction of a line or breaks it, and what stands for bytes that are no text."""

GIB = 2**30
"""Bytes."""


def gib(size: int) -> str:
    """``size`` bytes in words."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """``2h05m``, ``3m07s``, ``12s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def printable(text: str) -> str:
    """``text`` with escapes in place of what is no visible text: a name or a message moves no cursor, colours nothing.

    Names of files and folders, and what a damaged file or another process says, may hold anything.
    """
    return _NOT_PRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
