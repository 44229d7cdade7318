"""What a file without room for metadata says of itself: a JSON beside it, ``best_model.tflite.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from human_edge_prediction.errors import ModelFileError

SHA256: Final = "sha256"
"""Of the model's files, one after the other: so that a JSON of another model is none."""
_COMPANIONS: Final = {".xml": (".bin",)}
"""Suffix -> those of the files beside it that belong to the model."""
_MAX_BYTES: Final = 1_000_000


def sidecar_path(model: Path) -> Path:
    """Where the metadata of ``model`` lie."""
    return model.with_name(f"{model.name}.json")


def files_of(model: Path) -> tuple[Path, ...]:
    """The files that a model consists of, itself first; its metadata are none of them."""
    return (model, *(model.with_suffix(suffix) for suffix in _COMPANIONS.get(model.suffix, ())))


def sha256_of(files: Sequence[Path]) -> str:
    """Of the content of all ``files``, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_sidecar(model: Path) -> Mapping[str, str]:
    """The metadata beside ``model``; empty where there are none.

    Raises:
        ModelFileError: They cannot be read, or are of another model.
    """
    path = sidecar_path(model)
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelFileError(f"{path}: is no metadata of a model: more than {_MAX_BYTES} bytes; export it anew")
        metadata = json.loads(path.read_text(encoding="utf-8"))
        found = sha256_of(files_of(model))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: cannot be read as metadata of {model.name} ({error}); export it anew") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFileError(f"{path}: expected texts by name; export the model anew")
    if metadata.get(SHA256) != found:
        raise ModelFileError(f"{path}: is of another {model.name}; export it anew, or move the file away")
    return metadata
