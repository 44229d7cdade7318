"""What a run was made with: the state of this package, and what a run folder says of its own making.

``provenance.json`` holds what the last start of the run was made with, with the times of all starts that were made with
just that (``starts``), and under ``earlier`` the same of the starts before, oldest first.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter

from human_edge_detection.files.strict_json import read_json
from human_edge_detection.runs.paths import RunPaths

_PLAIN: Final[TypeAdapter[dict[str, JsonValue]]] = TypeAdapter(dict[str, JsonValue])
_STARTS, _EARLIER, _WRITTEN = "starts", "earlier", "written"
_EXACT: Final = ("versions", "git", "processor", "accelerator", "threads", "processes")
"""What must stay for a run that goes on to end in the same bits."""
_CPU_INFO: Final = Path("/proc/cpuinfo")
_SHOWN: Final = 12
"""Characters of a commit."""


def git_commit() -> str | None:
    """Commit of this tool's working copy; None where it is installed without one, or git is missing."""
    git = shutil.which("git")
    if git is None:
        return None
    folder = Path(__file__).parent
    output = subprocess.run([git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return output.stdout.strip() or None


def processor_name() -> str:
    """What the system calls this machine's processor."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def read_provenance(paths: RunPaths) -> dict[str, Any]:
    """What provenance.json of a run says; nothing when it is missing or damaged."""
    try:
        return read_json(_PLAIN, paths.provenance)
    except (OSError, ValueError):
        return {}


def with_start(before: Mapping[str, Any], made_with: Mapping[str, Any], *, time: str) -> dict[str, Any]:
    """What provenance.json says after another start.

    Args:
        before: What it says; empty at the first start.
        made_with: Command, versions, processor and so on of this start.
        time: Of it.
    """
    last = {name: value for name, value in before.items() if name not in (_STARTS, _EARLIER, _WRITTEN)}
    starts, earlier = _list(before.get(_STARTS, [before.get(_WRITTEN)])) if last else [], _list(before.get(_EARLIER))
    if last and last != dict(made_with):
        starts, earlier = [], [*earlier, {**last, _STARTS: starts}]
    return {**made_with, _WRITTEN: time, _STARTS: [*starts, time], _EARLIER: earlier}


def changes_between(before: Mapping[str, Any], made_with: Mapping[str, Any]) -> list[str]:
    """What changed between two starts that an exact resume needs to stay, each as ``name old -> new``.

    What an older version did not write down is unknown, and has not changed.
    """
    old, new = _exact(before), _exact(made_with)
    return [f"{name} {old[name]} -> {new.get(name)}" for name in old if old[name] != new.get(name)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # else edited by hand


def _exact(made_with: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _EXACT:
        value = made_with.get(name)
        if isinstance(value, Mapping):
            found |= {str(part): str(version) for part, version in value.items()}
        elif value is not None:
            found[name] = str(value)[:_SHOWN] if name == "git" else str(value)
    return found
