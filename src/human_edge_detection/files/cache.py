"""Where this tool keeps what it can make again: with the user's other caches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter

from human_edge_detection.files.strict_json import read_json

Kept = TypeVar("Kept")
_MAX_BYTES: Final = 2**30


def cache_folder() -> Path | None:
    """``$XDG_CACHE_HOME/human-edge-detection``, by default below ``~/.cache``; None where nobody is at home."""
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(caches) if caches else Path.home() / ".cache") / "human-edge-detection"
    except RuntimeError:
        return None


def read_cached(kind: type[Kept], path: Path | None) -> Kept | None:
    """The ``kind`` that was kept at ``path`` as JSON; None when there is none, or what is there is damaged."""
    if path is None:
        return None
    try:
        return read_json(TypeAdapter(kind), path, max_bytes=_MAX_BYTES)
    except (OSError, ValueError):
        return None
