"""The weights of a network in what other programs saved; real networks are in tests/contract."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.weights.fit import fit_weights


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def state(seed: int = 1) -> dict[str, Tensor]:
    return dict(network(seed).state_dict())


def under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


WHOLE: dict[str, tuple[Callable[[], Any], str]] = {
    "as it is": (state, ""),
    "a prefix": (lambda: under("module.", state()), "taken from behind 'module.'"),
    "prefixes": (
        lambda: {"a": {"b": under("module._orig_mod.", state())}},
        "taken from behind 'a.b.module._orig_mod.'",
    ),
    "more": (lambda: {**state(), "fc.bias": torch.zeros(2)}, "left out 1 tensor (fc.bias)"),
    "half": (
        lambda: {name: value.half() if value.is_floating_point() else value for name, value in state().items()},
        "float16 converted to float32",
    ),
    "double": (
        lambda: {name: value.double() if value.is_floating_point() else value for name, value in state().items()},
        "float64 converted to float32",
    ),
    "no counters": (
        lambda: {name: value for name, value in state().items() if "tracked" not in name},
        "num_batches_tracked set to 0",
    ),
    "counters in half precision": (
        lambda: state() | {"1.num_batches_tracked": torch.tensor(9.0).half()},
        "num_batches_tracked set to 0",
    ),
    "the moving average first": (
        lambda: {"state_dict": state(5), "state_dict_ema": state()},
        "taken from behind 'state_dict_ema.', not 'state_dict.'",
    ),
    "the higher one first": (
        lambda: {"training": {"student": state(5)}, "model": state()},
        "taken from behind 'model.', not 'training.student.'",
    ),
    "the same twice": (lambda: {"a": state(), "b": state()}, "taken from behind 'a.', not 'b.'"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_all_of_it_is_found_and_the_changes_are_named(kind: str) -> None:
    make, changes = WHOLE[kind]
    fit = fit_weights(make(), network())
    assert (fit.problem, fit.changes) == ("", changes)
    tolerance = 1e-3 if kind == "half" else 0.0
    for name, value in state().items():
        torch.testing.assert_close(fit.state[name], value, atol=tolerance, rtol=tolerance)
    assert fit.state.keys() == state().keys()


PROBLEMS: dict[str, tuple[Callable[[], Any], str]] = {
    "no mapping": (lambda: [1, 2], "expected a state dict of tensors, got list"),
    "no tensors": (lambda: {"model": {}}, "expected a state dict of tensors, got a dict without tensors"),
    "another network": (lambda: {"x.y": torch.zeros(3)}, "7 tensors missing, 1 unknown: no 0.bias"),
    "other names": (
        lambda: {f"stem_{name.replace('.', '_')}": value for name, value in state().items()},
        "the shapes fit, and the names are those of another library (stem_0_weight ..., expected 0.weight ...)",
    ),
    "a deeper one": (lambda: {**state(), "1.2.weight": torch.zeros(1)}, "1 unknown: unknown 1.2.weight"),
    "one missing": (lambda: {"m": {n: v for n, v in state().items() if n != "1.bias"}}, "1 tensors missing, 0 unknown"),
    "two of them": (lambda: {"student": state(), "teacher": state(2)}, "'student.' and 'teacher.'; save one of them"),
    "another shape": (lambda: state() | {"0.bias": torch.zeros(5)}, "0.bias has shape (5,), expected (4,)"),
    "integers": (lambda: state() | {"0.bias": torch.zeros(4).int()}, "0.bias is torch.int32"),
    "half precision overflowed": (
        lambda: {n: (v * 1e6).half() if v.is_floating_point() else v for n, v in state().items()},
        "holds values that are not finite",
    ),
    "damage": (lambda: state() | {"0.bias": torch.full((4,), 2.0**120)}, "damaged, the values of 0.bias"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_does_not_fit_is_explained(kind: str) -> None:
    make, words = PROBLEMS[kind]
    problem = fit_weights(make(), network()).problem
    assert words in problem
    assert "\n" not in problem
