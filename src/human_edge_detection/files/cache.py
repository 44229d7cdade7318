"""Where this tool keeps what it can make again: with the user's other caches."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """``$XDG_CACHE_HOME/human-edge-detection``, by default below ``~/.cache``; None where nobody is at home."""
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(caches) if caches else Path.home() / ".cache") / "human-edge-detection"
    except RuntimeError:
        return None
