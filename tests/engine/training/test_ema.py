import copy

import pytest
import torch
from torch import nn

from human_edge_detection.engine.training.ema import MovingAverage


def constant(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    fill(model, value)
    return model


def fill(model: nn.Module, value: float) -> None:
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)


def test_the_formula_at_known_steps() -> None:
    # Update 1: decay min(0.9, 2/11); from 0 towards 1: 9/11. Update 1000: decay 0.9; 9/11 + 0.1 * (1 - 9/11).
    model = constant(0.0)
    average = MovingAverage(model, decay=0.9)
    fill(model, 1.0)
    average.update(step=1)
    first = 9 / 11
    assert next(average.model.parameters()).flatten().tolist() == pytest.approx([first] * 4)
    average.update(step=1000)
    assert next(average.model.parameters()).flatten().tolist() == pytest.approx([first + 0.1 * (1 - first)] * 4)


def test_statistics_are_copied_and_the_model_stays_as_it_is() -> None:
    model = constant(1.0)
    average = MovingAverage(model, decay=0.9)
    model.train()(torch.randn(8, 2))
    before = copy.deepcopy(model.state_dict())
    average.update(step=1)
    for ours, theirs in zip(average.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_average_is_a_model_in_evaluation_mode_without_gradient() -> None:
    average = MovingAverage(constant(1.0).train(), decay=0.9)
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
