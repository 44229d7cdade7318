"""OpenVINO, for ``.xml`` files with a ``.bin`` beside them; imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from human_edge_prediction.errors import MissingPackageError, ModelFileError
from human_edge_prediction.runtimes.runtime import Array, TensorInfo, one_line
from human_edge_prediction.runtimes.sidecar import files_of, read_sidecar

OPENVINO: Final = "OpenVINO"
_DEVICE: Final = "CPU"


class OpenVino:
    """A model in OpenVINO's own format, on the CPU, in the precision that it is stored in."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        """Opens ``path``.

        Raises:
            MissingPackageError: OpenVINO is not installed.
            ModelFileError: No such model, or what lies beside it is of another one.
        """
        try:
            import openvino
        except ImportError as error:
            raise MissingPackageError(
                f"{path}: a .xml file takes OpenVINO, and openvino is not installed; pip install openvino"
            ) from error
        for file in files_of(path):
            if not file.is_file():
                raise ModelFileError(f"{file}: no such file, and {path.name} is nothing without it; export it anew")
        # OpenVINO would compute in bfloat16 where the processor can, which is another model.
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            self._model = core.compile_model(core.read_model(path), _DEVICE, settings)
        except RuntimeError as error:
            raise ModelFileError(f"{path}: OpenVINO cannot open it ({one_line(error)}); export it anew") from error
        self._path = path
        self.provider = OPENVINO
        self.inputs = tuple(map(_info, self._model.inputs))
        self.outputs = tuple(map(_info, self._model.outputs))
        self.metadata: Mapping[str, str] = read_sidecar(path)

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input."""
        try:
            outputs = self._model(dict(feeds))
        except (RuntimeError, TypeError) as error:
            raise ModelFileError(f"{self._path}: OpenVINO cannot run it ({one_line(error)})") from error
        return [outputs[port] for port in self._model.outputs]


def _info(port: Any) -> TensorInfo:
    shape = tuple(None if side.is_dynamic else side.get_length() for side in port.partial_shape)
    return TensorInfo(port.any_name, shape, port.element_type.to_dtype().name)
