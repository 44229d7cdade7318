"""How much each term of the loss moves the network (as in GradNorm, arXiv:1711.02257)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from human_edge_detection.engine.ranks import Ranks
from human_edge_detection.engine.training.step_loss import StepLoss

GRADIENT_SHARE: Final = "gradient_share/"


def gradient_shares(first: StepLoss | None, weight: nn.Parameter, ranks: Ranks) -> dict[str, float]:
    """Share of each term in the gradient of ``weight``, the last layer that all heads use.

    Costs one more backward pass through the heads for each term.

    Args:
        first: The loss of the first batch of an epoch; of several processes each has a part of that batch, with its
            shares in it; None: none of it.
        weight: The weight; when it does not learn there are no shares.
        ranks: The processes of this run, all of which call this.
    """
    if not weight.requires_grad:
        return {}
    # 1. The gradient of each term alone; of several processes the sum of theirs.
    gradients = ranks.gather({} if first is None else _gradients(first, weight, weighed=ranks.count > 1))
    names = list(dict.fromkeys(name for mine in gradients for name in mine))
    if not names:
        return {}
    # 2. Their lengths, as shares.
    lengths = torch.stack([_sum([mine[name] for mine in gradients if name in mine]).norm() for name in names]).tolist()
    total = sum(lengths) or 1.0
    return {f"{GRADIENT_SHARE}{name}": length / total for name, length in zip(names, lengths, strict=True)}


def _gradients(first: StepLoss, weight: nn.Parameter, *, weighed: bool) -> dict[str, Tensor]:
    found = {}
    for term in first.loss.terms:
        (gradient,) = torch.autograd.grad(term.weighted, weight, retain_graph=True, allow_unused=True)
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        found[term.name] = (gradient * first.shares.of(term)).cpu() if weighed else gradient
    return found


def _sum(gradients: list[Tensor]) -> Tensor:
    return gradients[0] if len(gradients) == 1 else torch.stack(gradients).sum(0)
