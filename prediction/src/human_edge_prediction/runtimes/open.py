"""Opens a model file in the runtime of its suffix."""

from __future__ import annotations

from pathlib import Path

from human_edge_prediction.errors import ModelFileError
from human_edge_prediction.runtimes.litert import LiteRt
from human_edge_prediction.runtimes.onnx import CPU, OnnxRuntime
from human_edge_prediction.runtimes.openvino import OpenVino
from human_edge_prediction.runtimes.runtime import Runtime
from human_edge_prediction.suffixes import MODEL_SUFFIXES_IN_WORDS


def open_runtime(path: Path, *, provider: str = CPU, threads: int | None = None) -> Runtime:
    """Opens a model file.

    Args:
        path: ``.onnx``, ``.tflite`` or, of OpenVINO, ``.xml``.
        provider: Of ONNX Runtime; LiteRT and OpenVINO compute on the CPU in any case.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        ModelFileError: It is missing, damaged or of another kind, or there is no such provider.
        MissingPackageError: LiteRT or OpenVINO is needed and not installed.
    """
    if not path.is_file():
        raise ModelFileError(
            f"{path}: {'is not a file' if path.exists() else 'no such file'}; give a {MODEL_SUFFIXES_IN_WORDS}"
        )
    if path.suffix == ".onnx":
        return OnnxRuntime(path, provider=provider, threads=threads)
    if path.suffix == ".tflite":
        return LiteRt(path, threads=threads)
    if path.suffix == ".xml":
        return OpenVino(path, threads=threads)
    raise ModelFileError(f"{path}: expected a file that ends in {MODEL_SUFFIXES_IN_WORDS}")
