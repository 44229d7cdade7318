"""Parity of detections: the boxes and scores of an exported detector against those of the trained one, as sets."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

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


class DetectionParity(NamedTuple):
    """How the detections of two models in one image differ.

    Attributes:
        pairs: ``(M, 2)`` positions of the same detection in the trained and in the exported model's set, in the order
            of the former; what else belongs to a detection, such as its mask, is compared by them.
        max_box_difference: Largest difference of a coordinate over all pairs, in pixels.
        max_score_difference: Largest difference of a score over all pairs.
        missing: Detections of the trained model alone, without those whose score is near the threshold.
        extra: Detections of the exported model alone, counted likewise.
    """

    pairs: NDArray[np.int64]
    max_box_difference: float
    max_score_difference: float
    missing: int
    extra: int

    def problem(self, tolerances: ParityTolerances) -> str | None:
        """Each figure that is not allowed, with its tolerance, in one line; None if all are."""
        problems = []
        if self.max_box_difference > BOX_TOLERANCE_PX:
            problems.append(f"boxes differ by {self.max_box_difference:.3g} px (allowed: {BOX_TOLERANCE_PX:g})")
        if self.max_score_difference > tolerances.probability:
            problems.append(f"scores differ by {self.max_score_difference:.3g} (allowed: {tolerances.probability:g})")
        if self.missing or self.extra:
            problems.append(
                f"{self.missing} detections are missing and {self.extra} are too many (allowed: 0 whose score is "
                f"further than {tolerances.probability:g} from the threshold)"
            )
        return ", and ".join(problems) or None


def compare_detections(
    expected: Detections,
    exported: Detections,
    *,
    image_size: tuple[int, int],
    score_threshold: float,
    tolerances: ParityTolerances,
) -> DetectionParity:
    """Compares the detections of the trained and of the exported model in one image, whatever their order.

    Args:
        expected: Of the trained model; finite.
        exported: Of the exported model.
        image_size: (height, width) of the image in pixels.
        score_threshold: What scores below is no detection. One whose score is within the tolerance of a probability
            from here may be missing on either side.
        tolerances: For scores.

    Returns:
        The figures. When a value of ``exported`` is not finite, nothing is paired and all detections are missing.
    """
    height, width = image_size
    first, second = (one.boxes.astype(np.float64) * [width, height, width, height] for one in (expected, exported))
    scores, others = expected.scores.astype(np.float64), exported.scores.astype(np.float64)
    if not (np.isfinite(second).all() and np.isfinite(others).all()):
        return DetectionParity(np.zeros((0, 2), np.int64), 0.0, 0.0, len(first), len(second))

    # 1. How far each detection of the one is from each of the other.
    boxes_differ = np.abs(first[:, None] - second[None]).max(axis=2, initial=0.0)
    scores_differ = np.abs(scores[:, None] - others[None])
    are_within = (boxes_differ <= BOX_TOLERANCE_PX) & (scores_differ <= tolerances.probability)
    iou = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    # 2. Who may be missing, and who is a candidate: two that may both be missing need not be the same detection.
    may_miss = np.abs(scores - score_threshold) <= tolerances.probability
    other_may_miss = np.abs(others - score_threshold) <= tolerances.probability
    is_candidate = are_within | ((iou >= _MIN_IOU) & ~(may_miss[:, None] & other_may_miss[None]))
    # 3. Pair greedily: what is within tolerances first, then by overlap; of equal boxes, the nearest score.
    pairs = _greedy(is_candidate, np.where(are_within, 2.0, 0.0) + iou - scores_differ)
    left, right = pairs.T
    alone = np.setdiff1d(np.arange(len(first)), left), np.setdiff1d(np.arange(len(second)), right)
    return DetectionParity(
        pairs=pairs,
        max_box_difference=float(boxes_differ[left, right].max(initial=0.0)),
        max_score_difference=float(scores_differ[left, right].max(initial=0.0)),
        missing=int((~may_miss[alone[0]]).sum()),
        extra=int((~other_may_miss[alone[1]]).sum()),
    )


def _greedy(is_candidate: NDArray[np.bool_], likeness: NDArray[np.float64]) -> NDArray[np.int64]:
    """Greedy matching: the likest candidates ``(M, 2)`` of a matrix, each row and column at most once, by rows."""
    rows, columns = np.nonzero(is_candidate)
    order = np.argsort(-likeness[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(len(likeness), bool), np.ones(likeness.shape[1], bool)
    pairs = []
    for row, column in zip(rows[order], columns[order], strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((int(row), int(column)))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)
