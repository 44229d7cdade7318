"""Parity of detections: the boxes and scores of an exported detector against those of the trained one, as sets.

Rounding may move a peak to the place beside it, or lift a person above a threshold. So what the trained detector finds
has two parts: who is found for sure, and must be found by the exported one too, and who is found or not by rounding.
The exported one may find nobody else.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from human_edge_detection.advanced.detector import find_persons
from human_edge_detection.runs.records import ParityTolerances

BOX_TOLERANCE_PX: Final = 0.5
"""Most that a corner of a box may move, in pixels of the image, whatever the precision."""
_MIN_IOU: Final = 0.5
"""Of two boxes that are taken for the same detection although they are not within tolerances."""


class Detections(NamedTuple):
    """What a detector finds in one image.

    Attributes:
        boxes: ``(N, 4)`` x1, y1, x2, y2 as fractions of the image.
        scores: ``(N,)`` probabilities.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]


class Expected(NamedTuple):
    """What the trained detector finds in one image, and what it might find with other rounding.

    Attributes:
        detections: All of it.
        is_sure: ``(N,)`` Whom it finds whatever the rounding.
    """

    detections: Detections
    is_sure: NDArray[np.bool_]


class DetectionParity(NamedTuple):
    """How the detections of two models in one image differ.

    Attributes:
        max_box_difference: Largest difference of a coordinate over all pairs, in pixels.
        max_score_difference: Largest difference of a score over all pairs.
        missing: Sure detections of the trained model that the exported one lacks.
        extra: Detections of the exported model that the trained one cannot have.
    """

    max_box_difference: float
    max_score_difference: float
    missing: int
    extra: int


def expected_detections(
    centre_logits: Tensor, person_boxes: Tensor, *, min_score: float, max_persons: int, tolerances: ParityTolerances
) -> list[Expected]:
    """What the trained detector finds in each of B images.

    A place is a peak for sure where it is likelier than each neighbour by the margin, and may be one where no neighbour
    is likelier by more than that. Scores may move by the tolerance of a probability: around ``min_score``, and around
    the score of the last person where there are ``max_persons``.

    Args:
        centre_logits: ``(B, 1, h, w)``, finite.
        person_boxes: ``(B, 4, h, w)``, finite.
        min_score: Of the exported model.
        max_persons: Of the exported model.
        tolerances: See above.
    """
    # 1. Where peaks are, and where they may be.
    probability = centre_logits.float().sigmoid()
    around = functional.unfold(functional.pad(probability, (1, 1, 1, 1)), 3).view(len(probability), 9, -1)
    likeliest_neighbour = around[:, [0, 1, 2, 3, 5, 6, 7, 8]].amax(dim=1)
    scores = probability.flatten(1)
    may_be_peak = scores >= likeliest_neighbour - tolerances.margin
    is_peak = scores >= likeliest_neighbour + tolerances.margin
    # 2. The score from which on persons are found, of each image: (B, 1).
    found = find_persons(centre_logits, person_boxes, most=max_persons).scores
    threshold = found[:, max_persons - 1 :].clamp(min=min_score) if found.shape[1] == max_persons else min_score
    may_be_found = may_be_peak & (scores >= threshold - tolerances.probability)
    is_sure = is_peak & (scores > threshold + tolerances.probability)
    # 3. By image.
    boxes = person_boxes.float().flatten(2).transpose(1, 2).clamp(0.0, 1.0)
    return [
        Expected(
            Detections(boxes[image, places].numpy(), scores[image, places].numpy()), is_sure[image, places].numpy()
        )
        for image, places in enumerate(may_be_found)
    ]


def compare_detections(
    expected: Expected, exported: Detections, *, image_size: tuple[int, int], tolerances: ParityTolerances
) -> DetectionParity:
    """Compares the detections of the trained and of the exported model in one image, whatever their order.

    Args:
        expected: Of the trained model; finite.
        exported: Of the exported model.
        image_size: (height, width) of the image in pixels.
        tolerances: For scores.

    Returns:
        The figures. When a value of ``exported`` is not finite, all that it has is too much.
    """
    height, width = image_size
    trained, is_sure = expected
    first, second = (one.boxes.astype(np.float64) * [width, height, width, height] for one in (trained, exported))
    scores, others = trained.scores.astype(np.float64), exported.scores.astype(np.float64)
    if not (np.isfinite(second).all() and np.isfinite(others).all()):
        return DetectionParity(0.0, 0.0, int(is_sure.sum()), len(second))

    # 1. How far each detection of the one is from each of the other.
    boxes_differ = np.abs(first[:, None] - second[None]).max(axis=2, initial=0.0)
    scores_differ = np.abs(scores[:, None] - others[None])
    are_within = (boxes_differ <= BOX_TOLERANCE_PX) & (scores_differ <= tolerances.probability)
    iou = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    # 2. Pair greedily: what is within tolerances first, then who is sure, then by overlap; of equal boxes, the nearest
    # score.
    likeness = np.where(are_within, 4.0, 0.0) + np.where(is_sure, 2.0, 0.0)[:, None] + iou - scores_differ
    left, right = _greedy(are_within | (iou >= _MIN_IOU), likeness).T
    is_paired = np.isin(np.arange(len(first)), left)
    return DetectionParity(
        max_box_difference=float(boxes_differ[left, right].max(initial=0.0)),
        max_score_difference=float(scores_differ[left, right].max(initial=0.0)),
        missing=int((is_sure & ~is_paired).sum()),
        extra=len(second) - len(right),
    )


def _greedy(is_candidate: NDArray[np.bool_], likeness: NDArray[np.float64]) -> NDArray[np.int64]:
    """Greedy matching: the likest candidates ``(M, 2)`` of a matrix, each row and column at most once."""
    rows, columns = np.nonzero(is_candidate)
    order = np.argsort(-likeness[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(len(likeness), bool), np.ones(likeness.shape[1], bool)
    pairs = []
    for row, column in zip(rows[order], columns[order], strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((int(row), int(column)))
    return np.array(pairs, np.int64).reshape(-1, 2)
