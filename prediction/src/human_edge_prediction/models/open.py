"""Opens a model file as what it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from human_edge_prediction.description import Adapter, read_adapter
from human_edge_prediction.errors import AdapterError, ModelFileError
from human_edge_prediction.models.foreign import ForeignModel
from human_edge_prediction.models.model import Model, shown
from human_edge_prediction.models.own import OURS, OwnModel, is_own
from human_edge_prediction.runtimes import CPU, Runtime, open_runtime

_DETECTOR_SUFFIX: Final = ".detect.onnx"


def open_model(
    path: str | Path,
    *,
    adapter: Adapter | Mapping[str, Any] | None = None,
    provider: str = CPU,
    threads: int | None = None,
) -> Model:
    """Opens a model file.

    Args:
        path: ``.onnx`` or ``.tflite``.
        adapter: What the model takes and gives; None: it was exported by ``human-edge-detection`` and says so itself.
        provider: Of ONNX Runtime.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        ModelFileError: It is missing, damaged or of another kind, or there is no such provider.
        AdapterError: The description is missing or wrong, or does not fit the model.
        MissingPackageError: LiteRT is needed and not installed.
    """
    path = Path(path)
    described = adapter if adapter is None or isinstance(adapter, Adapter) else read_adapter(adapter)
    runtime = open_runtime(path, provider=provider, threads=threads)
    if described is not None:
        return ForeignModel(path, runtime, described)
    if is_own(runtime):
        return OwnModel(path, runtime, open_finder=partial(_open_finder, path, runtime, provider, threads))
    raise AdapterError(
        f"{path} was not exported by {OURS}: describe it with an adapter (inputs "
        f"{', '.join(map(shown, runtime.inputs))}; outputs {', '.join(map(shown, runtime.outputs))})"
    )


def _open_finder(path: Path, runtime: Runtime, provider: str, threads: int | None) -> OwnModel | None:
    """``best_model.detect.onnx`` beside ``best_model.onnx``, if it is there; both have to be of one checkpoint."""
    beside = path.with_name(f"{path.stem}{_DETECTOR_SUFFIX}")
    if not beside.is_file():
        return None
    other = open_runtime(beside, provider=provider, threads=threads)
    mine, its = (one.metadata.get("checkpoint_sha256") for one in (runtime, other))
    if not is_own(other) or mine != its:
        raise ModelFileError(f"{beside} is not of the checkpoint that {path} was exported from; export them anew")
    return OwnModel(beside, other)
