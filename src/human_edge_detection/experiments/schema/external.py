"""Teachers that are no checkpoints of this tool: model files, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from human_edge_prediction.description_reader import EXPORTED, complete, kind_of, read_adapter, read_exported
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.suffixes import MODEL_SUFFIXES

_UNKNOWN_INPUT: Final = (1, 3, 8, 8)
"""Stands for what the file itself will say of its input."""


def is_external(path: Path) -> bool:
    """Whether a teacher at ``path`` is a model file, of others or exported, and no checkpoint: its suffix tells."""
    return path.suffix.lower() in MODEL_SUFFIXES


def description_problem(description: Mapping[str, JsonValue]) -> str | None:
    """What is wrong with what is said of a model file; None: nothing, as far as that can be told without the file.

    Returns:
        The path of the field behind that of the description, and the problem: ``.output: values is missing``.
    """
    try:
        if kind_of(description) == EXPORTED:
            read_exported(description, scores="min_score" in description)
        elif read_adapter(complete(description, _UNKNOWN_INPUT, "float32")).kind == "boxes":
            return ".kind: 'boxes' says nothing of pixels, so it teaches nothing; give a model that has masks"
    except AdapterError as error:
        place, _, problem = str(error).removeprefix("adapter").partition(":")
        return f"{place.replace(' ', '.', 1)}:{problem}"
    return None
