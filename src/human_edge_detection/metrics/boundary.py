"""Boundary F1: how well the border of the predicted mask matches that of the true mask.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (the F measure
of DAVIS). As there, the tolerance is 0.75 % of the mask's diagonal. Unlike there, the distance is the chessboard
distance (a square window instead of a disk, the same up to a pixel at these tolerances), and ignored pixels do not
count.
"""

import math

from torch import Tensor

from human_edge_detection.morphology import dilate
from human_edge_detection.structures import IGNORE, TARGET

TOLERANCE = 0.0075
"""Fraction of the mask's diagonal; 2 pixels at 160 x 120."""


def boundary_tolerance(mask_size: tuple[int, int]) -> int:
    """The tolerance in pixels of a mask of ``(height, width)``, rounded up."""
    return math.ceil(TOLERANCE * math.hypot(*mask_size))


def boundary_f1(classes: Tensor, target: Tensor, tolerance: int) -> Tensor:
    """Boundary F1 of the target person in each roi.

    A border pixel is in the mask and has a valid pixel outside the mask among its 8 neighbours, so the frame of the roi
    and the edge of an ignored region are no borders. It is matched if the other mask has a border pixel within
    ``tolerance``. Border pixels within ``tolerance`` of an ignored region do not count, as their match may lie in it.

    Args:
        classes: ``(N, H, W)`` predicted classes.
        target: ``(N, H, W)`` true classes, 255 is ignored.
        tolerance: Pixels of the mask, at least 0.

    Returns:
        ``(N,)`` float64 in [0, 1]; NaN where the true mask has no border.
    """
    valid = target != IGNORE
    # 1. Borders of both masks, and the pixels that are far enough from ignored ones.
    predicted, true = (_border(mask == TARGET, valid) for mask in (classes, target))
    counted = ~dilate(~valid, tolerance)
    # 2. Precision: matched share of the predicted border; recall: matched share of the true border.
    precision = _matched_share(predicted & counted, dilate(true, tolerance))
    recall = _matched_share(true & counted, dilate(predicted, tolerance))
    # 3. A prediction without a border has the precision 0 / 0, taken as 1; its recall is 0, and so is its F1.
    precision = precision.nan_to_num(1.0)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-12)


def _border(mask: Tensor, valid: Tensor) -> Tensor:
    """Pixels of the mask ``(N, H, W)`` with a valid pixel outside of it among their 8 neighbours."""
    return mask & valid & dilate(~mask & valid, 1)


def _matched_share(border: Tensor, near_other: Tensor) -> Tensor:
    """``(N,)`` share of the border pixels of each roi that have a match; NaN without border pixels."""
    return (border & near_other).sum((1, 2)).double() / border.sum((1, 2)).double()
