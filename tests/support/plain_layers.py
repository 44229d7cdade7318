"""Quick layers against those of the libraries: the same answer and the same gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

IN_BF16, IN_FLOAT32 = 0.03, 1e-5
"""Relative distance to the plain layer in float32 of one quick layer, as it is rounded on its way.

In bfloat16 most processors have no such unit and some add up in it: two ways in it may differ by twice as much, and
through several layers by more.
"""


def output_and_gradients(
    model: nn.Module | Callable[..., Tensor], inputs: Sequence[Tensor], *, bf16: bool, weights: Sequence[Tensor] = ()
) -> list[Tensor]:
    """The answer to ``inputs``, then the gradients of inputs, ``weights`` and, of a module, its parameters."""
    learning = [one.detach().clone().contiguous(memory_format=torch.channels_last) for one in inputs]
    leaves = [one.requires_grad_() for one in learning] + list(weights)
    if isinstance(model, nn.Module):
        leaves += list(model.parameters())
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = model(*learning)
    # The weights of the sum differ, so that a pixel in the wrong place is seen.
    direction = torch.linspace(-1.0, 1.0, output.numel()).view(output.shape)
    gradients = torch.autograd.grad((output.float() * direction).sum(), leaves)
    return [output.detach().float(), *(gradient.float() for gradient in gradients)]


def assert_same(plain: Sequence[Tensor], quick: Sequence[Tensor], *, bf16: bool) -> None:
    """Both lists hold the same values, up to the rounding of ``quick``, in bfloat16 or not; ``plain`` is in float32."""
    for one, other in zip(plain, quick, strict=True):
        assert one.shape == other.shape
        assert (one - other).norm() <= (IN_BF16 if bf16 else IN_FLOAT32) * one.norm()
