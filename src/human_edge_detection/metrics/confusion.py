"""The confusion matrix and what follows from it."""

import torch
from torch import Tensor

from human_edge_detection.structures import IGNORE


def confusion_matrix(classes: Tensor, target: Tensor, num_classes: int, ignore: int = IGNORE) -> Tensor:
    """Counts the pixels of each pair (true class, answered class).

    Args:
        classes: Answered classes in ``[0, num_classes)``, any shape, integer or bool.
        target: True classes of the same shape; ``ignore`` marks pixels that count for nothing.
        num_classes: C.
        ignore: The value of ignored pixels in ``target``.

    Returns:
        ``(C, C)`` int64 on the device of ``target``; rows are the truth, columns the answer.

    Raises:
        ValueError: Shapes differ, or a true class is neither in ``[0, C)`` nor ``ignore``.
    """
    if classes.shape != target.shape:
        raise ValueError(f"classes {tuple(classes.shape)} and target {tuple(target.shape)} must have one shape")
    cells = num_classes * num_classes
    # Bin 0 takes the ignored pixels, so an unknown class can only land beyond the last bin, where it is noticed.
    pairs = torch.where(target == ignore, 0, 1 + num_classes * target.long() + classes.long())
    counts = torch.bincount(pairs.flatten(), minlength=1 + cells)
    if len(counts) > 1 + cells:
        raise ValueError(f"target holds class {int(target[target != ignore].max())}, expected 0 to {num_classes - 1}")
    return counts[1:].reshape(num_classes, num_classes)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union of each class: ``(C, C)`` counts to ``(C,)`` float64, NaN for a class absent in both."""
    counts = confusion.double()
    hits = counts.diagonal()
    return hits / (counts.sum(0) + counts.sum(1) - hits)


def dice_per_class(confusion: Tensor) -> Tensor:
    """Dice coefficient of each class: ``(C, C)`` counts to ``(C,)`` float64, NaN for a class absent in both."""
    counts = confusion.double()
    return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean IoU over the classes that occur in the truth or in the answer; NaN when nothing was counted."""
    return iou_per_class(confusion).nanmean()
