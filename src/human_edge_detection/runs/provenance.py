"""Which state of this package is at work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def git_commit() -> str | None:
    """Commit of this tool's working copy; None where it is installed without one, or git is missing."""
    git = shutil.which("git")
    if git is None:
        return None
    folder = Path(__file__).parent
    output = subprocess.run([git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return output.stdout.strip() or None
