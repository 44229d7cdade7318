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
    counts = count_pairs(classes, target, num_classes, ignore)
    if bool(counts[:, -1].any()):
        raise unknown_class(target, num_classes, ignore)
    return counts[:, :-1].reshape(len(target), num_classes, num_classes)


def count_pairs(classes: Tensor, target: Tensor, num_classes: int, ignore: int = IGNORE) -> Tensor:
    """The same counts without a look at them, which would wait for a GPU.

    Returns:
        ``(N, C * C + 1)`` int64: the confusion matrices row by row, and how many pixels have an unknown true class. If
        there are any, :func:`unknown_class` says which.

    Raises:
        ValueError: Shapes differ.
    """
    if classes.shape != target.shape:
        raise ValueError(f"classes {tuple(classes.shape)} and target {tuple(target.shape)} must have one shape")
    # The bin of each pixel in the histogram of its mask: below and above those of the C^2 pairs are those of unknown
    # classes, and the last one is for what is ignored. In place and in int32, which takes half the memory of int64.
    above = 1 + num_classes**2
    bins = target.to(torch.int32) * num_classes
    bins += classes.to(torch.int32)
    bins += 1
    bins.clamp_(0, above).masked_fill_(target == ignore, above + 1)
    counts = _histograms(bins.flatten(1), above + 2)
    return torch.cat([counts[:, 1:above], counts[:, :1] + counts[:, above : above + 1]], dim=1)


def unknown_class(target: Tensor, num_classes: int, ignore: int = IGNORE) -> ValueError:
    """The error of a ``target`` that holds a class neither in ``[0, num_classes)`` nor ``ignore``."""
    low, high = torch.stack(target[target != ignore].aminmax()).tolist()
    return ValueError(f"target holds class {int(low if low < 0 else high)}, expected 0 to {num_classes - 1}")


def _histograms(values: Tensor, bins: int) -> Tensor:
    """``(N, bins)`` int64: how often each number below ``bins`` is in each row of ``values`` ``(N, P)`` int32."""
    return _by_bincount(values, bins) if values.device.type == "cpu" else _by_comparison(values, bins)


def _by_bincount(values: Tensor, bins: int) -> Tensor:
    rows = len(values)
    values = values + bins * torch.arange(rows, dtype=torch.int32)[:, None]
    return torch.bincount(values.flatten(), minlength=rows * bins).reshape(rows, bins)


def _by_comparison(values: Tensor, bins: int) -> Tensor:
    """For a GPU: bincount reads the largest value before it counts, and so waits for all that was queued there."""
    return torch.stack([(values == number).sum(1) for number in range(bins)], dim=1)
