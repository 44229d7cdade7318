"""LiteRT, for ``.tflite`` files; imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from human_edge_prediction.errors import MissingPackageError, ModelFileError
from human_edge_prediction.runtimes.runtime import Array, TensorInfo, one_line
from human_edge_prediction.runtimes.sidecar import read_sidecar

LITERT: Final = "LiteRT"


class LiteRt:
    """A ``.tflite`` file in LiteRT; integers that stand for real numbers come out as these."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        """Opens ``path``.

        Raises:
            MissingPackageError: LiteRT is not installed.
            ModelFileError: No such model, or what lies beside it is of another one.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingPackageError(
                f"{path}: a .tflite file takes LiteRT, and ai-edge-litert is not installed; pip install ai-edge-litert"
            ) from error
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path}: LiteRT cannot open it ({one_line(error)}); export it anew") from error
        self._path = path
        self._inputs = {entry["name"]: entry for entry in self._interpreter.get_input_details()}
        self._outputs = self._interpreter.get_output_details()
        self.provider = LITERT
        self.inputs = tuple(map(_litert_info, self._inputs.values()))
        self.outputs = tuple(map(_litert_info, self._outputs))
        self.metadata: Mapping[str, str] = read_sidecar(path)

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input."""
        try:
            for name, values in feeds.items():
                self._interpreter.set_tensor(self._inputs[name]["index"], values)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{self._path}: LiteRT cannot run it ({one_line(error)})") from error
        return [_real(self._interpreter.get_tensor(entry["index"]), entry["quantization"]) for entry in self._outputs]


def _litert_info(entry: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(entry["name"], tuple(map(int, entry["shape"])), np.dtype(entry["dtype"]).name)


def _real(values: Array, quantization: tuple[float, int]) -> Array:
    """``scale * (value - zero point)``; a scale of 0 says that the values are no numbers in disguise."""
    scale, zero_point = quantization
    return values if not scale else (values.astype(np.float32) - zero_point) * np.float32(scale)
