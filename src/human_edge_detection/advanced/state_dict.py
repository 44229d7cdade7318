"""Loading a state dict whole: every tensor, every shape, or an error that names the first difference."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from human_edge_detection.errors import CheckpointError


def mismatch(state: Mapping[str, Tensor], module: nn.Module) -> str:
    """What keeps ``state`` from being the module's, or an empty string."""
    expected = module.state_dict()
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or extra:
        first = f"no {missing[0]}" if missing else f"unknown {extra[0]}"
        return f"{len(missing)} tensors missing, {len(extra)} unknown: {first}"
    for name in sorted(expected):
        if expected[name].shape != state[name].shape:
            return f"{name} has shape {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        if expected[name].dtype != state[name].dtype:
            return f"{name} is {state[name].dtype}, expected {expected[name].dtype}"
        if state[name].is_floating_point() and not bool(state[name].isfinite().all()):
            return f"{name} holds values that are not finite"
    return ""


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Loads ``state`` into ``module``, all of it or nothing.

    Raises:
        CheckpointError: ``<source>: <first difference>``.
    """
    problem = mismatch(state, module)
    if problem:
        raise CheckpointError(f"{source}: {problem}")
    module.load_state_dict(dict(state))
