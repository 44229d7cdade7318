"""Exponential moving average of a model's weights (Polyak averaging)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage:
    """A copy of ``model`` that follows it; buffers (BatchNorm statistics) are copied, not averaged.

    Early on the decay is smaller, ``(1 + step) / (10 + step)``, so that the random start is forgotten. The tensors of
    ``model`` must stay the same ones.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        # Lists made once: to walk through all modules takes longer than to average them.
        self._averaged: list[Tensor] = list(self.model.parameters())
        self._weights = [parameter.detach() for parameter in model.parameters()]
        self._copied = list(self.model.buffers())
        self._buffers = list(model.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the model after update number ``step`` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._weights, 1.0 - decay)
        torch._foreach_copy_(self._copied, self._buffers)
