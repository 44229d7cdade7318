"""Which image files lie in a folder that nobody has listed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""Of image files that a training reads, in lower case."""


def image_files_below(folder: Path) -> list[str]:
    """Image files in ``folder`` and below, told by their suffix: sorted names, relative to it, parted by ``/``.

    Hidden files and folders, such as thumbnails of another system, are left out. Empty where there is no such folder.
    """
    found: list[str] = []
    for place, below, files in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        shown = (name for name in files if not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES)
        found += [Path(place, name).relative_to(folder).as_posix() for name in shown]
    return sorted(found)


def listing_digest(folder: Path) -> str:
    """Tells what lies in ``folder`` by the names and sizes of its image files; nothing of them is read."""
    lines = [f"{(folder / name).stat().st_size} {name}" for name in image_files_below(folder)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
