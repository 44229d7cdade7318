"""Loads a state dict strictly: names, shapes and types match and values are finite, or the first problem is raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from human_edge_detection.advanced.weights.torch_archive import is_dense
from human_edge_detection.errors import CheckpointError


def mismatch(state: Any, module: nn.Module) -> str:
    """Compares ``state`` with the state dict of ``module``.

    Args:
        state: Anything; expected are tensors by name.
        module: Its names, shapes and types are required. Values are checked last: they must be finite.

    Returns:
        The first problem, or an empty string when ``state`` can be loaded.
    """
    if not isinstance(state, Mapping):
        return f"expected tensors by name, got {type(state).__name__}"
    expected = module.state_dict()
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or extra:
        first = f"no {min(missing)}" if missing else f"unknown {min(extra, key=str)}"
        return f"{len(missing)} tensors missing, {len(extra)} unknown: {first}"
    for name in sorted(expected):
        problem = _difference(state[name], expected[name])
        if problem:
            return f"{name} {problem}"
    return ""


def load_strictly(module: nn.Module, state: Any, *, source: str) -> None:
    """Loads ``state`` into ``module``, all tensors or none.

    Args:
        module: Changed in place.
        state: Its tensors by name.
        source: Where ``state`` comes from, for messages.

    Raises:
        CheckpointError: ``<source>: <first difference>``.
    """
    problem = mismatch(state, module)
    if problem:
        raise CheckpointError(f"{source}: {problem}")
    module.load_state_dict(dict(state))


def _difference(value: Any, expected: Tensor) -> str:
    """Why ``value`` cannot replace ``expected``, or an empty string."""
    if not isinstance(value, Tensor) or not is_dense(value):
        return "is not a dense tensor"
    if value.shape != expected.shape:
        return f"has shape {tuple(value.shape)}, expected {tuple(expected.shape)}"
    if value.dtype != expected.dtype:
        return f"is {value.dtype}, expected {expected.dtype}"
    if value.is_floating_point() and not bool(value.isfinite().all()):
        return "holds values that are not finite"
    return ""
