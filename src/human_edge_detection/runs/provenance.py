"""What a run was made with: the state of this package, and what a run folder says of its own making."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from human_edge_detection.runs.paths import RunPaths


def git_commit() -> str | None:
    """Commit of this tool's working copy; None where it is installed without one, or git is missing."""
    git = shutil.which("git")
    if git is None:
        return None
    folder = Path(__file__).parent
    output = subprocess.run([git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return output.stdout.strip() or None


def read_provenance(paths: RunPaths) -> dict[str, Any]:
    """What provenance.json of a run says; nothing when it is missing or damaged."""
    try:
        content = json.loads(paths.provenance.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
