"""The confusion matrix."""

import torch
from torch import Tensor

from human_edge_detection.structures import IGNORE


def confusion_matrices(classes: Tensor, target: Tensor, num_classes: int, ignore: int = IGNORE) -> Tensor:
    """Counts the pixels of each pair (true class, answered class), for each of N masks.

    Args:
        classes: ``(N, ...)`` answered classes in ``[0, num_classes)``, integer or bool.
        target: True classes of the same shape; ``ignore`` marks pixels that count for nothing.
        num_classes: C.
        ignore: The value of ignored pixels in ``target``.

    Returns:
        ``(N, C, C)`` int64 on the device of ``target``; rows are the truth, columns the answer.

    Raises:
        ValueError: Shapes differ, or a true class is neither in ``[0, C)`` nor ``ignore``.
    """
    if classes.shape != target.shape:
        raise ValueError(f"classes {tuple(classes.shape)} and target {tuple(target.shape)} must have one shape")
    valid = target != ignore
    known = torch.where(valid, target, 0)
    _check(known, num_classes)
    masks, bins = len(target), 1 + num_classes**2
    # Each mask has bins of its own; its first takes the ignored pixels. int32: half the memory to go through.
    pairs = known.to(torch.int32) * num_classes
    pairs += classes.to(torch.int32)
    pairs += 1
    pairs *= valid
    pairs = pairs.flatten(1)
    pairs += bins * torch.arange(masks, dtype=torch.int32, device=target.device)[:, None]
    counts = torch.bincount(pairs.flatten(), minlength=masks * bins).reshape(masks, bins)
    return counts[:, 1:].reshape(masks, num_classes, num_classes)


def _check(known: Tensor, num_classes: int) -> None:
    """One look at the extremes: on a GPU every look waits for all work before it."""
    if known.numel() == 0:
        return
    low, high = torch.stack(known.aminmax()).tolist()
    if low < 0 or high >= num_classes:
        raise ValueError(f"target holds class {int(low if low < 0 else high)}, expected 0 to {num_classes - 1}")
