"""The part of a checkpoint that a resumed run needs, checked against the run that is to take it over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final, get_args

import torch
from torch import Tensor

from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.engine.checkpoints.checkpoint import is_state_dict
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.device import Precision
from human_edge_detection.errors import CheckpointError

_KEYS: Final = {
    "student",
    "optimizer",
    "scaler",
    "progress",
    "precision",
    "teacher_sha256",
    "training_fingerprint",
}
_NUMBERS: Final = ("lr", "base_lr", "eps", "weight_decay")
_MOMENTS: Final = {"step", "exp_avg", "exp_avg_sq"}
"""What AdamW remembers of a parameter."""


def check_training_state(
    state: Mapping[str, Any],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    source: str,
    adapter: bool = False,
) -> None:
    """Refuses a state that is not whole, or is of other parameters, before any of it is put to use.

    Args:
        state: ``Checkpoint.training``.
        optimizer: The AdamW that will take it over.
        scaler: The loss scaler that will.
        source: What is read, for the message.
        adapter: Whether a term of the distillation has learnt weights of its own, ``adapter``.

    Raises:
        CheckpointError: ``<source>: <first problem>``.
    """
    problem = next(_problems(state, optimizer, scaler, _KEYS | ({"adapter"} if adapter else set())), None)
    if problem is not None:
        raise CheckpointError(f"{source}: {problem}; resume from another checkpoint, or start anew with --restart")
    TrainingProgress.from_state(state["progress"], source=source)


def _problems(
    state: Mapping[str, Any], optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, keys: Set[str]
) -> Iterator[str]:
    different = sorted(map(str, state.keys() ^ keys))
    if different:
        yield f"not a state of training ({different[0]} missing or unknown)"
        return
    if state["student"] is not None and not is_state_dict(state["student"]):
        yield "student holds no weights"
    for name in ("teacher_sha256", "training_fingerprint"):
        if state[name] is not None and not isinstance(state[name], str):
            yield f"{name} is {type(state[name]).__name__}"
    if state["precision"] not in get_args(Precision):
        yield f"precision is {shorten(state['precision'])}, expected one of {', '.join(get_args(Precision))}"
    saved = state["scaler"]
    if not isinstance(saved, dict) or not all(map(_is_number, saved.values())):
        yield "scaler holds no numbers"
    elif scaler.is_enabled() and saved.keys() != scaler.state_dict().keys():
        yield "no loss scale of fp16 in it: the run had another precision"
    yield from _optimizer_problems(state["optimizer"], optimizer)


def _optimizer_problems(saved: Any, optimizer: torch.optim.Optimizer) -> Iterator[str]:
    if not isinstance(saved, dict) or saved.keys() != {"state", "param_groups"}:
        yield "optimizer holds no state and groups"
        return
    fresh = optimizer.state_dict()["param_groups"]
    groups, moments = saved["param_groups"], saved["state"]
    if not isinstance(groups, list) or len(groups) != len(fresh):
        yield f"optimizer of other parameter groups, expected {len(fresh)}"
        return
    for number, (group, expected) in enumerate(zip(groups, fresh, strict=True)):
        if not _is_group(group, expected):
            yield f"optimizer group {number} is of other parameters or settings"
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(moments, dict) or not moments.keys() <= set(range(len(parameters))):
        yield f"optimizer state of other parameters, expected {len(parameters)}"
        return
    for number, remembered in moments.items():
        if not _are_moments(remembered, parameters[number]):
            yield f"optimizer state of parameter {number} does not fit its shape {tuple(parameters[number].shape)}"


def _is_group(group: Any, expected: Mapping[str, Any]) -> bool:
    if not isinstance(group, dict) or group.get("params") != expected["params"]:
        return False
    betas = group.get("betas")
    if not isinstance(betas, (list, tuple)) or len(betas) != 2:
        return False
    # The others are switches (foreach, fused, ...), and which there are depends on the version of torch.
    switches = [value for name, value in group.items() if name not in (*_NUMBERS, "betas", "params")]
    return all(_is_number(value) and value >= 0.0 for value in (*map(group.get, _NUMBERS), *betas)) and all(
        value is None or isinstance(value, bool) for value in switches
    )


def _are_moments(remembered: Any, parameter: Tensor) -> bool:
    if not is_state_dict(remembered) or remembered.keys() != _MOMENTS:
        return False
    shapes = {"step": torch.Size(()), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
    return all(
        remembered[name].shape == shape
        and remembered[name].dtype == torch.float32
        and bool(remembered[name].isfinite().all())
        for name, shape in shapes.items()
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
