"""Opens a model file as what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from human_edge_prediction.description import Adapter, Kind
from human_edge_prediction.description_reader import EXPORTED, complete, kind_of, read_adapter, read_exported
from human_edge_prediction.errors import AdapterError, ModelFileError
from human_edge_prediction.models.chain import Chain
from human_edge_prediction.models.checks import shown
from human_edge_prediction.models.foreign import ForeignModel
from human_edge_prediction.models.model import Model
from human_edge_prediction.models.own import OURS, OwnModel, has_own_names, is_own
from human_edge_prediction.models.prompted import PromptedModel
from human_edge_prediction.runtimes import CPU, Runtime, TensorInfo, open_runtime, sidecar_path

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
        path: ``.onnx``, ``.tflite`` or, of OpenVINO, ``.xml``.
        adapter: What the model takes and gives; ``{"kind": "exported"}``: it was exported by ``human-edge-detection``
            and has lost its metadata; None: it has them.
        provider: Of ONNX Runtime.
        threads: As many compute one operator; None: as the runtime likes.

    Raises:
        ModelFileError: It is missing, damaged or of another kind, or there is no such provider.
        AdapterError: The description is missing or wrong, or does not fit the model.
        MissingPackageError: LiteRT or OpenVINO is needed and not installed.
    """
    path = Path(path)
    runtime = open_runtime(path, provider=provider, threads=threads)
    if adapter is None:
        if not is_own(runtime):
            raise AdapterError(_question(path, runtime))
        return OwnModel(path, runtime, open_finder=partial(_open_finder, path, runtime, provider, threads))
    if not isinstance(adapter, Adapter):
        try:
            if kind_of(adapter) == EXPORTED:
                score = read_exported(adapter, scores="scores" in _names(runtime.outputs))
                return OwnModel(path, runtime, min_score=score)
            adapter = read_adapter(_completed(adapter, runtime))
        except AdapterError as error:
            raise AdapterError(f"{path}: {error}") from error
    if adapter.prompt is None:
        return ForeignModel(path, runtime, adapter)
    if adapter.prompt.encoder is not None:
        encoder = open_runtime(path.parent / adapter.prompt.encoder, provider=provider, threads=threads)
        runtime = Chain(encoder, runtime)
    return PromptedModel(path, runtime, adapter)


def _completed(data: Mapping[str, Any], runtime: Runtime) -> Mapping[str, Any]:
    """A description with what the file says of its image input; of an encoder, the description says it."""
    given = data.get("input", {})
    name = given.get("name", 0) if isinstance(given, Mapping) else 0
    for number, info in enumerate(runtime.inputs):
        if name in (number, info.name):
            return complete(data, info.shape, info.dtype)
    return data


def _question(path: Path, runtime: Runtime) -> str:
    """What has to be said of a file that says nothing of itself."""
    has = f"inputs {', '.join(map(shown, runtime.inputs))}; outputs {', '.join(map(shown, runtime.outputs))}"
    if has_own_names(runtime):
        score = " and min_score=X, as it was exported with" if "scores" in _names(runtime.outputs) else ""
        beside = "" if path.suffix == ".onnx" else f" ({sidecar_path(path).name} beside it)"
        return (
            f"{path} has the inputs and outputs of an export of {OURS}, and has lost the metadata that say so{beside}; "
            f"export it anew, or give --adapter kind={EXPORTED}{score} ({has})"
        )
    free = [] if not runtime.inputs or None not in runtime.inputs[0].shape[1:] else ["input.size=[HEIGHT,WIDTH]"]
    missing = [f"kind={'|'.join(get_args(Kind))}", *free, "output.values=..."]
    return (
        f"{path} was not exported by {OURS} and does not say what it is; describe it in {path.stem}.adapter.json "
        f"beside it, or with {' '.join(missing)} (hed predict: --adapter kind=..., of a teacher: --set "
        f"distillation.external.kind=...) ({has})"
    )


def _names(infos: Sequence[TensorInfo]) -> set[str]:
    return {info.name for info in infos}


def _open_finder(path: Path, runtime: Runtime, provider: str, threads: int | None) -> OwnModel | None:
    """``best_model.detect.onnx`` beside ``best_model.onnx``, if it is there; both have to be of one checkpoint.

    Not beside files of other formats: it makes masks too, in ONNX Runtime, and these files would not be asked at all.
    """
    beside = path.with_name(f"{path.stem}{_DETECTOR_SUFFIX}")
    if path.suffix != ".onnx" or not beside.is_file():
        return None
    other = open_runtime(beside, provider=provider, threads=threads)
    mine, its = (one.metadata.get("checkpoint_sha256") for one in (runtime, other))
    if not is_own(other) or mine != its:
        raise ModelFileError(f"{beside} is not of the checkpoint that {path} was exported from; export them anew")
    finder = OwnModel(beside, other)
    if not finder.finds_persons:
        raise ModelFileError(f"{beside} finds no persons, and its name says so; export {path} anew, or move it away")
    return finder
