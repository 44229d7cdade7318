"""Whether two runs ended in the same bits: weights, optimizer, record of the epochs and result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.paths import RunPaths

Leaves = Mapping[str, Any]
"""Tensors and plain values by their path: ``model/unet.segmentation_head.0.weight``."""

_TIMES: Final = frozenset({"training/progress/seconds"})
_RESULT_OF_ITS_OWN: Final = frozenset(
    {"seconds", "images_per_second", "best_checkpoint", "run_name", "teacher_checkpoint"}
)
"""What two equal runs may differ in: how long they took, and where they lie."""
_ABSENT: Final = "absent"


def first_difference(a: RunPaths, b: RunPaths) -> str | None:
    """The first thing in which two finished runs differ, in words; None when they are identical.

    Everything is compared bit by bit: both checkpoints (``latest.pth`` with moving average, optimizer and scaler,
    ``best_model.pth``), ``metrics.jsonl`` and ``result.json``. Only times and paths may differ.

    Raises:
        CheckpointError: A file of a run is missing or damaged.
    """
    for one, other in ((a.latest, b.latest), (a.best, b.best)):
        if difference := difference_of_leaves(read_leaves(one), read_leaves(other)):
            return f"{one.name}: {difference}"
    if difference := difference_of_lines(_read(a.metrics), _read(b.metrics)):
        return f"{a.metrics.name}: {difference}"
    if difference := difference_of_leaves(_result(a), _result(b)):
        return f"{a.result.name}: {difference}"
    return None


def count_tensors(run: RunPaths) -> int:
    """The tensors that :func:`first_difference` compares.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
    """
    files = (run.latest, run.best)
    return sum(isinstance(value, Tensor) for file in files for value in read_leaves(file).values())


def read_leaves(checkpoint: Path) -> Leaves:
    """All tensors and values of ``checkpoint`` that a run computes.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    content, _ = read_checkpoint(checkpoint)
    parts = ("model", "epoch", "metrics", "data_fingerprint", "training")
    leaves = leaves_of({part: getattr(content, part) for part in parts})
    return {name: value for name, value in leaves.items() if name not in _TIMES}


def leaves_of(value: Any) -> Leaves:
    """``value``, nested mappings and lists, as one flat mapping."""
    return dict(_walk(value, ""))


def difference_of_leaves(a: Leaves, b: Leaves) -> str | None:
    """The first name whose values differ, and how; None when all are the same bits."""
    for name in (*a, *(name for name in b if name not in a)):
        if difference := _difference(a.get(name, _ABSENT), b.get(name, _ABSENT)):
            return f"{name} {difference}"
    return None


def difference_of_lines(a: bytes, b: bytes) -> str | None:
    """The first line that differs; None when the texts are the same."""
    if a == b:
        return None
    one, other = a.splitlines(), b.splitlines()
    same = next((number for number, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        return f"{len(one)} lines and {len(other)} lines"
    return f"line {same + 1} differs: {one[same].decode(errors='replace')} and {other[same].decode(errors='replace')}"


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _walk(below, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list | tuple) and value:
        for number, below in enumerate(value):
            yield from _walk(below, f"{name}/{number}")
    else:
        yield name, value


def _difference(a: Any, b: Any) -> str | None:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _tensor_difference(a, b)
    # repr tells 1 from 1.0 and True, and takes nan for nan.
    one, other = _shown(a), _shown(b)
    return None if one == other else f"is {one} and {other}"


def _tensor_difference(a: Tensor, b: Tensor) -> str | None:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"is {_shown(a)} and {_shown(b)}"
    differs = (_bits(a) != _bits(b)).any(dim=1)
    count = int(differs.sum())
    if not count:
        return None
    one, other = (tensor.contiguous().flatten()[differs].double() for tensor in (a, b))
    largest = float((one - other).abs().max())
    return f"differs in {count} of {a.numel()} elements, by {largest:.3g} at most"


def _bits(tensor: Tensor) -> Tensor:
    """``(elements, bytes)``: tells -0.0 from 0.0, and a nan equals itself."""
    return tensor.contiguous().flatten().view(torch.uint8).view(tensor.numel(), tensor.element_size())


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return repr(value)


def _result(run: RunPaths) -> Leaves:
    fields = json.loads(_read(run.result))
    return leaves_of({name: value for name, value in fields.items() if name not in _RESULT_OF_ITS_OWN})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; only finished runs can be compared") from error
