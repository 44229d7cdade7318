"""Whether a model file has what its description says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from human_edge_prediction.description import ImageInput, Name
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.runtimes import Runtime, TensorInfo


def input_of(runtime: Runtime, name: Name) -> TensorInfo:
    """The input that is called so, or stands there.

    Raises:
        AdapterError: There is none.
    """
    inputs: dict[str | int, TensorInfo] = dict(enumerate(runtime.inputs))
    inputs |= {info.name: info for info in runtime.inputs}
    if name not in inputs:
        names = ", ".join(repr(info.name) for info in runtime.inputs)
        raise AdapterError(f"the model has no input {name!r}; it has {names}")
    return inputs[name]


def check_image_input(path: Path, runtime: Runtime, wanted: ImageInput) -> None:
    """Refuses a model whose image input is another than is described.

    Raises:
        AdapterError: It is.
    """
    info = input_of(runtime, wanted.name)
    height, width = wanted.size
    described = (1, 3, height, width) if wanted.layout == "NCHW" else (1, height, width, 3)
    fits = len(info.shape) == 4 and all(side in (None, one) for side, one in zip(info.shape, described, strict=True))
    if not fits or info.dtype != wanted.dtype:
        raise AdapterError(
            f"{path}: its input is {shown(info)}, and the adapter says {json.dumps(described)} {wanted.dtype} "
            f"({wanted.layout}); change size, layout or dtype of the adapter's input"
        )


def check_outputs(path: Path, runtime: Runtime, wanted: Sequence[Name]) -> None:
    """Refuses a model without one of these outputs.

    Raises:
        AdapterError: It has none that is called so or stands there.
    """
    names = [info.name for info in runtime.outputs]
    for name in wanted:
        if name not in names and name not in range(len(names)):
            raise AdapterError(
                f"{path} has no output {name!r}; it has {', '.join(map(repr, names))}, or positions from 0"
            )


def shown(info: TensorInfo) -> str:
    """An input or output in words: name, shape and type."""
    sides = ", ".join("?" if side is None else str(side) for side in info.shape)
    return f"{info.name} ({sides}) {info.dtype}"
