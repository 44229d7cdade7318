"""The stages of an encoder: which of them learn yet, and an encoder without its last one.

Progressive unfreezing: a pre-trained encoder learns from its last stage on, one stage more every few epochs. Source:
Howard & Ruder, "Universal Language Model Fine-tuning", arXiv:1801.06146, section 3.2 (gradual unfreezing and learning
rates that fall with depth).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from torch import nn


def unwrapped(encoder: nn.Module) -> nn.Module:
    """The network of timm within the wrapper of a ``tu-`` encoder: its weights have the names of timm's files."""
    return encoder.model if isinstance(encoder, TimmUniversalEncoder) else encoder


def encoder_stages(encoder: nn.Module) -> list[list[nn.Module]]:
    """The parts of ``encoder`` with weights, first stage first.

    A stage begins with each block of a sequence (EfficientNet, MobileNet) or with each sequence of blocks (ResNet);
    what stands before the first one or after the last one belongs to these.
    """
    stages: list[list[nn.Module]] = [[]]
    for child in unwrapped(encoder).children():
        if isinstance(child, nn.Sequential):
            blocks = list(child) if not _is_stage(child) else [child]
            stages += [[block] for block in blocks]
        else:
            stages[-1].append(child)
    stages = [[part for part in stage if any(True for _ in part.parameters())] for stage in stages]
    first, *rest = [stage for stage in stages if stage]
    return [first + rest[0], *rest[1:]] if rest else [first]


def _is_stage(sequence: nn.Sequential) -> bool:
    """Whether the sequence is one stage of equal blocks, as in ResNet, and not the sequence of all stages."""
    return len({type(block) for block in sequence}) == 1 and not isinstance(sequence[0], nn.Sequential)


def open_stages(epoch: int, *, stages: int, epochs_per_stage: int) -> int:
    """How many stages, counted from the last, learn in ``epoch`` (from 0): one more every ``epochs_per_stage``."""
    return min(1 + epoch // epochs_per_stage, stages)


def stage_scales(stages: int, scale: float) -> Sequence[float]:
    """Learning-rate factor of each stage, first stage first: 1 for the last, times ``scale`` for each one before."""
    return [scale ** (stages - 1 - number) for number in range(stages)]


@torch.enable_grad()
def cut_unused(encoder: nn.Module) -> None:
    """Removes the layers of ``encoder`` that its output does not depend on: those of stages that are left out.

    They would be counted as weights of the model, stored in each checkpoint, and computed.

    Args:
        encoder: Without gradients; changed in place.
    """
    training = encoder.training
    device = next(encoder.parameters()).device
    outputs = encoder.eval()(torch.zeros(1, 3, 64, 64, device=device))
    torch.autograd.backward([output.sum() for output in outputs if output.requires_grad])
    _cut(encoder)
    encoder.train(training)
    encoder.zero_grad(set_to_none=True)


def _cut(parent: nn.Module) -> None:
    """Replaces each module below ``parent`` that has weights, none of them with a gradient."""
    for name, module in list(parent.named_children()):
        gradients = [parameter.grad for parameter in module.parameters()]
        if gradients and all(gradient is None for gradient in gradients):
            setattr(parent, name, nn.Identity())
        else:
            _cut(module)
