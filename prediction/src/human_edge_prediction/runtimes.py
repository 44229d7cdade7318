"""Runs a model file: ONNX Runtime for ``.onnx``, LiteRT for ``.tflite``; imported when such a file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import MissingPackageError, ModelFileError

Array = NDArray[Any]
CPU: Final = "CPUExecutionProvider"
LITERT: Final = "LiteRT"
REMOTE: Final = "AzureExecutionProvider"
"""Part of every ONNX Runtime; it asks a service on another machine, and leaves a model as ours to the CPU."""
_ERRORS_ONLY: Final = 3
"""Log level of ONNX Runtime."""
_NUMPY_NAMES: Final = {"float": "float32", "float16": "float16", "double": "float64"}
"""ONNX Runtime's names of types where numpy has other ones."""


class TensorInfo(NamedTuple):
    """An input or an output of a model.

    Attributes:
        name: In the file.
        shape: None for a side that is free.
        dtype: Numpy's name.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runtime(Protocol):
    """An open model file.

    Attributes:
        inputs: That it takes.
        outputs: That it gives.
        provider: What computes.
        metadata: What the file says of itself.
    """

    @property
    def inputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def provider(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input.

        Raises:
            ModelFileError: The model cannot compute them.
        """


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
            raise ModelFileError(f"{path}: ONNX Runtime cannot open it ({_line(error)}); export it anew") from error
        if provider not in session.get_providers():
            raise ModelFileError(f"{path}: {provider} does not start here; see ONNX Runtime's page on it")
        self._session = session
        self.provider = provider
        try:
            self.inputs = tuple(map(_onnx_info, session.get_inputs()))
            self.outputs = tuple(map(_onnx_info, session.get_outputs()))
            self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelFileError(f"{path}: is damaged ({_line(error)}); export it anew") from error

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input."""
        try:
            outputs: list[Array] = self._session.run(None, dict(feeds))
        except self._failures as error:
            raise ModelFileError(f"{self._path}: ONNX Runtime cannot run it ({_line(error)})") from error
        return outputs


def _onnx_info(entry: Any) -> TensorInfo:
    kind = entry.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in entry.shape)
    return TensorInfo(entry.name, shape, _NUMPY_NAMES.get(kind, kind))


class LiteRt:
    """A ``.tflite`` file in LiteRT; integers that stand for real numbers come out as these."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        """Opens ``path``.

        Raises:
            MissingPackageError: LiteRT is not installed.
            ModelFileError: No such model.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingPackageError(
                f"{path}: a .tflite file takes LiteRT, and ai-edge-litert is not installed; "
                "pip install 'human-edge-prediction[litert]'"
            ) from error
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path}: LiteRT cannot open it ({_line(error)}); export it anew") from error
        self._path = path
        self._inputs = {entry["name"]: entry for entry in self._interpreter.get_input_details()}
        self._outputs = self._interpreter.get_output_details()
        self.provider = LITERT
        self.inputs = tuple(map(_litert_info, self._inputs.values()))
        self.outputs = tuple(map(_litert_info, self._outputs))
        self.metadata: Mapping[str, str] = {}

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input."""
        try:
            for name, values in feeds.items():
                self._interpreter.set_tensor(self._inputs[name]["index"], values)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{self._path}: LiteRT cannot run it ({_line(error)})") from error
        return [_real(self._interpreter.get_tensor(entry["index"]), entry["quantization"]) for entry in self._outputs]


def _litert_info(entry: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(entry["name"], tuple(map(int, entry["shape"])), np.dtype(entry["dtype"]).name)


def _real(values: Array, quantization: tuple[float, int]) -> Array:
    """``scale * (value - zero point)``; a scale of 0 says that the values are no numbers in disguise."""
    scale, zero_point = quantization
    return values if not scale else (values.astype(np.float32) - zero_point) * np.float32(scale)


def open_runtime(path: Path, *, provider: str = CPU, threads: int | None = None) -> Runtime:
    """Opens a model file.

    Args:
        path: ``.onnx`` or ``.tflite``.
        provider: Of ONNX Runtime; a ``.tflite`` file is computed by LiteRT in any case.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        ModelFileError: It is missing, damaged or of another kind, or there is no such provider.
        MissingPackageError: LiteRT is needed and not installed.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: {'is not a file' if path.exists() else 'no such file'}; give a .onnx or .tflite")
    if path.suffix == ".onnx":
        return OnnxRuntime(path, provider=provider, threads=threads)
    if path.suffix == ".tflite":
        return LiteRt(path, threads=threads)
    raise ModelFileError(f"{path}: expected a file that ends in .onnx or .tflite")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
