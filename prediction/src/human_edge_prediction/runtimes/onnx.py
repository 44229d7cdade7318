"""ONNX Runtime, for ``.onnx`` files; imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from human_edge_prediction.errors import ModelFileError
from human_edge_prediction.runtimes.runtime import Array, TensorInfo, one_line

CPU: Final = "CPUExecutionProvider"
REMOTE: Final = "AzureExecutionProvider"
"""Part of every ONNX Runtime; it asks a service on another machine, and leaves a model as ours to the CPU."""
_ERRORS_ONLY: Final = 3
"""Log level of ONNX Runtime."""
_NUMPY_NAMES: Final = {"float": "float32", "float16": "float16", "double": "float64"}
"""ONNX Runtime's names of types where numpy has other ones."""


class OnnxRuntime:
    """A ``.onnx`` file in ONNX Runtime."""

    def __init__(self, path: Path, *, provider: str, threads: int | None) -> None:
        """Opens ``path``.

        Args:
            path: The file.
            provider: ONNX Runtime's name of what computes; what it cannot compute, the CPU does.
            threads: Of one operator; None: as ONNX Runtime likes.

        Raises:
            ModelFileError: No such model, or no such provider.
        """
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        available = [name for name in onnxruntime.get_available_providers() if name != REMOTE]
        if provider not in available:
            raise ModelFileError(
                f"provider {provider!r} is not part of this ONNX Runtime; it has {', '.join(available)}"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait by spinning would take the processor from what runs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if threads is not None:
            options.intra_op_num_threads = threads
        failures = (state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented, state.Fail)
        self._path, self._failures = path, (*failures, state.RuntimeException, state.EPFail)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=list(dict.fromkeys([provider, CPU])))
        except self._failures as error:
            raise ModelFileError(f"{path}: ONNX Runtime cannot open it ({one_line(error)}); export it anew") from error
        if provider not in session.get_providers():
            raise ModelFileError(f"{path}: {provider} does not start here; see ONNX Runtime's page on it")
        self._session = session
        self.provider = provider
        try:
            self.inputs = tuple(map(_onnx_info, session.get_inputs()))
            self.outputs = tuple(map(_onnx_info, session.get_outputs()))
            self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelFileError(f"{path}: is damaged ({one_line(error)}); export it anew") from error

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input."""
        try:
            outputs: list[Array] = self._session.run(None, dict(feeds))
        except self._failures as error:
            raise ModelFileError(f"{self._path}: ONNX Runtime cannot run it ({one_line(error)})") from error
        return outputs


def _onnx_info(entry: Any) -> TensorInfo:
    kind = entry.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in entry.shape)
    return TensorInfo(entry.name, shape, _NUMPY_NAMES.get(kind, kind))
