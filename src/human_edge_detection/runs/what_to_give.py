"""What a user should give where a checkpoint is wanted and something else is given."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from human_edge_detection.runs.paths import RunPaths

_LISTED: Final = 3
_OTHER_FORMATS: Final = {
    ".onnx": "an exported model, which can teach and cannot be trained",
    ".tflite": "an exported model, which can teach and cannot be trained",
    ".xml": "an exported model, which can teach and cannot be trained",
    ".json": "a record and no weights",
    ".jsonl": "a record and no weights",
    ".yaml": "a config and no weights",
    ".yml": "a config and no weights",
}
"""By suffix, what cannot be a checkpoint of this tool."""


def instead_of(path: Path) -> str | None:
    """Why ``path`` cannot be a checkpoint by its kind, and what to give instead; None where it may be one.

    A folder is named with the best checkpoint in it, an exported model with the checkpoint beside it.
    """
    if path.is_dir():
        return _instead_of_folder(path)
    known = _OTHER_FORMATS.get(path.suffix.lower())
    if known is None or not path.is_file():
        return None
    nearby = [path.with_suffix(".pth"), RunPaths(path.parent).best, RunPaths(path.parent.parent).best]
    found = next((candidate for candidate in nearby if candidate.is_file()), None)
    return f"{known}; " + (f"give {found}" if found else "give the best_model.pth that it was made from")


def _instead_of_folder(folder: Path) -> str:
    inside = [RunPaths(folder).best, folder / RunPaths(folder).best.name]
    found = [path for path in inside if path.is_file()] or sorted(folder.glob("*/checkpoints/best_model.pth"))
    if len(found) == 1:
        return f"a folder, not a checkpoint; give {found[0]}"
    if found:
        more = " ..." if len(found) > _LISTED else ""
        return f"a folder of several runs; give one of {', '.join(map(str, found[:_LISTED]))}{more}"
    return "a folder in which no run has a best checkpoint; give the path of a .pth file"
