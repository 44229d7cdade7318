"""Strict loading of state dicts."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.weights.state_dict import load_strictly, mismatch
from human_edge_detection.errors import CheckpointError


def layer() -> nn.Linear:
    return nn.Linear(3, 2)


def state(**changes: Any) -> dict[str, Any]:
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2), **changes}


def test_a_state_that_fits_is_loaded_whole() -> None:
    module = layer()
    load_strictly(module, state(), source="here")
    assert all(bool((value == 1).all()) for value in module.state_dict().values())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([1, 2], "expected tensors by name, got list"),
        ({"weight": torch.ones(2, 3)}, "1 tensors missing, 0 unknown: no bias"),
        (state(more=torch.ones(1)), "0 tensors missing, 1 unknown: unknown more"),
        (state(bias=torch.ones(3)), "bias has shape (3,), expected (2,)"),
        (state(bias=torch.ones(2, dtype=torch.float64)), "bias is torch.float64, expected torch.float32"),
        (state(bias=torch.tensor([1.0, float("nan")])), "bias holds values that are not finite"),
        (state(bias=[1.0, 1.0]), "bias is not a dense tensor"),
        (state(weight=torch.ones(2, 3).to_sparse()), "weight is not a dense tensor"),
    ],
)
def test_the_first_difference_is_named_and_nothing_is_loaded(wrong: Any, words: str) -> None:
    module = layer()
    before: dict[str, Tensor] = {name: value.clone() for name, value in module.state_dict().items()}
    assert mismatch(wrong, module) == words
    with pytest.raises(CheckpointError) as error:
        load_strictly(module, wrong, source="here")
    assert str(error.value) == f"here: {words}"
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_shape_is_reported_before_values_are_read() -> None:
    nan = torch.full((2,), float("nan"))
    assert mismatch(state(bias=nan, weight=torch.ones(3, 2)), layer()) == "bias holds values that are not finite"
    assert mismatch(state(bias=nan[:1], weight=torch.ones(3, 2)), layer()) == "bias has shape (1,), expected (2,)"
