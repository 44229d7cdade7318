"""Confusion matrices of class masks."""

import torch
from torch import Tensor

from human_edge_detection.structures import IGNORE


def confusion_matrices(classes: Tensor, target: Tensor, num_classes: int, ignore: int = IGNORE) -> Tensor:
    """Counts the pixels of each pair (true class, predicted class) in each of N masks.

    Args:
        classes: ``(N, ...)`` predicted classes in ``[0, num_classes)``, integer or bool.
        target: True classes of the same shape; pixels that are ``ignore`` do not count.
        num_classes: C, number of classes.
        ignore: The value of ignored pixels in ``target``.

    Returns:
        ``(N, C, C)`` int64 on the device of ``target``; rows are true classes, columns predicted ones.

    Raises:
        ValueError: Shapes differ, or a true class is neither in ``[0, C)`` nor ``ignore``.
    """
    if classes.shape != target.shape:
        raise ValueError(f"classes {tuple(classes.shape)} and target {tuple(target.shape)} must have one shape")
    valid = target != ignore
    known = torch.where(valid, target, 0)
    _check(known, num_classes)
    masks, bins = len(target), 1 + num_classes**2
    # One histogram for all masks: each mask has 1 + C^2 bins of its own, the first of them for ignored pixels. In place
    # and in int32, which takes half the memory of int64.
    pairs = known.to(torch.int32) * num_classes
    pairs += classes.to(torch.int32)
    pairs += 1
    pairs *= valid
    pairs = pairs.flatten(1)
    pairs += bins * torch.arange(masks, dtype=torch.int32, device=target.device)[:, None]
    counts = torch.bincount(pairs.flatten(), minlength=masks * bins).reshape(masks, bins)
    return counts[:, 1:].reshape(masks, num_classes, num_classes)


def _check(known: Tensor, num_classes: int) -> None:
    """Refuses true classes out of range, with one transfer of minimum and maximum: a transfer waits for the GPU."""
    if known.numel() == 0:
        return
    low, high = torch.stack(known.aminmax()).tolist()
    if low < 0 or high >= num_classes:
        raise ValueError(f"target holds class {int(low if low < 0 else high)}, expected 0 to {num_classes - 1}")
