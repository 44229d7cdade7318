"""Which files an exported model lies in, and what tells it from any other: weights may lie beside it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from human_edge_detection.files.read import file_sha256


def model_sha256(path: Path) -> str | None:
    """Tells a model file, with the weights that lie beside it, from any other; None when a file cannot be read.

    That is the sha256 of the file itself where nothing lies beside it. Else the weights count too: a model that is
    trained anew and exported again may have the same graph.
    """
    own = file_sha256(path)
    if own is None:
        return None
    beside = [file_sha256(file) for file in _weights_beside(path, own)]
    if not beside:
        return own
    return hashlib.sha256("+".join([own, *(sha256 or "missing" for sha256 in beside)]).encode()).hexdigest()


def _weights_beside(path: Path, sha256: str) -> list[Path]:
    """Files that hold weights of the model at ``path``: OpenVINO's ``.bin``, external data of ONNX."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return [path.with_suffix(".bin")]
    return [path.parent / name for name in _external_data(path, sha256)] if suffix == ".onnx" else []


@lru_cache(maxsize=64)
def _external_data(path: Path, sha256: str) -> tuple[str, ...]:
    """Names of the files of weights that a graph refers to, once for each content ``sha256``."""
    import onnx  # slow: most runs have no such teacher
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, OSError):  # whoever opens it says what is wrong with it
        return ()
    entries = (entry for tensor in graph.initializer for entry in tensor.external_data)
    return tuple(sorted({entry.value for entry in entries if entry.key == "location"}))
