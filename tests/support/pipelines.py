"""Files of pipelines, written as plain values: no test needs albumentations for it."""

import json
from pathlib import Path
from typing import Any


def transform(kind: str, **arguments: Any) -> dict[str, Any]:
    """One transform, always applied unless ``p`` says otherwise."""
    return {"__class_fullname__": kind, "p": 1.0, **arguments}


def write_pipeline(path: Path, *transforms: Any, **arguments: Any) -> Path:
    """A file as ``A.save`` writes it; returns ``path``."""
    compose = {"__class_fullname__": "Compose", "p": 1.0, "transforms": [*transforms], **arguments}
    path.write_text(json.dumps({"__version__": "2.0.8", "transform": compose}), encoding="utf-8")
    return path
