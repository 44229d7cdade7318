"""The least time a training step can take: its operations at the measured rate, its bytes at the measured bandwidth.

Operations are those of convolutions and matrix products, a multiply-add counted as 2; the backward pass has twice those
of the forward pass. Bytes: the answer of each layer is written and read once in the forward pass; in the backward pass
it is read once, and its gradient written and read once. A layer that goes over its input twice needs more than that.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from human_edge_detection.engine.model_cost import describe_model
from human_edge_detection.experiments.schema.model import ModelConfig

_SIDE = 2048
_COPIED = 2**28


def matmul_rate(dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product."""
    left, right = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return 2 * _SIDE**3 / _seconds(lambda: left @ right)


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a copy that no cache holds."""
    source, target = torch.zeros(_COPIED, dtype=torch.uint8), torch.zeros(_COPIED, dtype=torch.uint8)
    return 2 * _COPIED / _seconds(lambda: target.copy_(source))


def operations(config: ModelConfig, images: int, rois: int) -> float:
    """Of one forward pass."""
    gflops = describe_model(config).gflops
    return 1e9 * (images * (gflops.encoder + gflops.decoder + gflops.detector) + rois * gflops.head_per_roi)


@torch.no_grad()
def soft_label_bytes(model: nn.Module, inputs: tuple[Tensor, ...], *, bytes_each: int) -> int:
    """Bytes of the answers of all layers of one forward pass."""
    total = 0

    def count(_: nn.Module, __: object, output: object) -> None:
        nonlocal total
        if isinstance(output, Tensor):
            total += output.numel() * bytes_each

    hooks = [module.register_forward_hook(count) for module in model.modules() if not list(module.children())]
    model(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def _seconds(action: Callable[[], object]) -> float:
    action()
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
