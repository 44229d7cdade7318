"""The part of a checkpoint that a resumed run needs, checked against the run that is to take it over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, FiniteFloat, ValidationError
from torch import Tensor

from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.precision import Precision
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.runs.records import problem_of

Number = Annotated[float, Field(ge=0.0)]


class _Moments(Section):
    """What AdamW remembers of a parameter."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


class _Group(Section):
    """Settings of one group of parameters; which switches (foreach, ...) there are depends on torch's version."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | None] = Field(init=False)

    params: list[int]
    lr: Number
    base_lr: Number
    betas: tuple[Number, Number]
    eps: Number
    weight_decay: Number


class _OptimizerState(Section):
    state: dict[int, _Moments]
    param_groups: list[_Group]


class _TrainingState(Section):
    """``Checkpoint.training``; ``progress`` is checked by :class:`TrainingProgress`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    student: dict[str, Tensor] | None
    optimizer: _OptimizerState
    scaler: dict[str, FiniteFloat]
    progress: dict[str, Any]
    precision: Precision
    teacher_sha256: str | None
    training_fingerprint: str | None
    training_images: str | None = None
    unlabelled: str | None = None
    adapter: dict[str, Tensor] | None = None
    """Weights that a term of the distillation has learnt for itself."""


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
    try:
        checked = _TrainingState.model_validate(state)
    except ValidationError as error:
        problem: str | None = f"not a state of training ({problem_of(error)})"
    else:
        problem = next(_problems(checked, optimizer, scaler, adapter=adapter), None)
    if problem is not None:
        raise CheckpointError(f"{source}: {problem}; resume from another checkpoint, or start anew with --restart")
    TrainingProgress.from_state(state["progress"], source=source)


def _problems(
    state: _TrainingState, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, *, adapter: bool
) -> Iterator[str]:
    if ("adapter" in state.model_fields_set) != adapter:
        yield "adapter is missing, or of a distillation that has none"
    if scaler.is_enabled() and state.scaler.keys() != scaler.state_dict().keys():
        yield "no loss scale of fp16 in it: the run had another precision"
    groups = [group["params"] for group in optimizer.state_dict()["param_groups"]]
    if [group.params for group in state.optimizer.param_groups] != groups:
        yield f"optimizer of other parameter groups, expected {len(groups)}"
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, moments in state.optimizer.state.items():
        if not 0 <= number < len(parameters):
            yield f"optimizer state of other parameters, expected {len(parameters)}"
        elif not _fit(moments, parameters[number]):
            yield f"optimizer state of parameter {number} does not fit its shape {tuple(parameters[number].shape)}"


def _fit(moments: _Moments, parameter: Tensor) -> bool:
    shapes = ((moments.step, torch.Size(())), (moments.exp_avg, parameter.shape), (moments.exp_avg_sq, parameter.shape))
    return all(
        tensor.shape == shape and tensor.dtype == torch.float32 and bool(tensor.isfinite().all())
        for tensor, shape in shapes
    )
