"""COCO mask average precision of persons, with ground-truth boxes.

Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312; computed by pycocotools. The boxes are given,
so this measures masks and their scores, not detection: do not compare it with the AP of a detector.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from human_edge_detection.metrics.coco_file import index_of, load_persons, mask_entry, silence
from human_edge_detection.structures import TARGET, Batch, SegmentationOutput

METRICS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
"""In the order of ``COCOeval.stats``: at IoU 0.50 to 0.95, 0.50, 0.75, then by area (small < 32^2 < medium < 96^2)."""


class CocoMaskAp:
    """Collects a mask for each roi at the resolution of the image file and computes the AP of all.

    Images that were never passed to :meth:`update` do not count, so a subset of the data can be scored against the
    whole file. Rois are fractions of the image that the model was given and of the image file alike, so the image must
    have been resized, not padded or cropped.

    Args:
        annotation_file: COCO ``instances`` JSON, for the sizes of the images and the true masks. Only persons count.
            Crowd regions count as in COCO: a mask inside one is neither a true nor a false positive. So do the boxes of
            persons without a mask.

    Raises:
        DataError: The file cannot be read, is not COCO ``instances``, or has no category ``person``.
    """

    def __init__(self, annotation_file: Path) -> None:
        self._person_id, self._truth = load_persons(annotation_file)
        self._seen: set[int] = set()
        self._masks: list[dict[str, Any]] = []

    @torch.no_grad()
    def update(self, output: SegmentationOutput, batch: Batch) -> None:
        """Adds the rois of one batch; the score of a mask is the mean target probability inside it.

        Raises:
            ValueError: The output has another number of rois than the batch, or an image is not in the file.
        """
        if len(output.logits) != len(batch.rois):
            raise ValueError(f"{len(output.logits)} roi outputs for {len(batch.rois)} rois")
        unknown = sorted(set(batch.image_ids) - set(self._truth.imgs))
        if unknown:
            raise ValueError(f"image ids {unknown} are not in the annotation file")
        self._seen.update(batch.image_ids)
        probabilities = output.logits.float().softmax(1)[:, TARGET].cpu().numpy()
        for probability, roi in zip(probabilities, batch.rois.cpu().numpy(), strict=True):
            self._add(probability, roi[1:], batch.image_ids[int(roi[0])])

    def _add(self, probability: NDArray[np.float32], roi: NDArray[np.float32], image_id: int) -> None:
        """Adds one mask, unless it is empty.

        Args:
            probability: ``(H, W)`` of the target in the roi.
            roi: ``(4,)`` x1, y1, x2, y2 as fractions of the image.
            image_id: Id of the image.
        """
        image = self._truth.imgs[image_id]
        entry = mask_entry(probability, roi, (image["height"], image["width"]))
        if entry is None:
            return
        self._masks.append(
            {
                **entry,
                "id": len(self._masks) + 1,
                "image_id": image_id,
                "category_id": self._person_id,
                "iscrowd": 0,
            }
        )

    def compute(self) -> dict[str, float | None]:
        """AP in [0, 1] by the names in ``METRICS``; None for a size that no true person has."""
        predictions = index_of({**self._truth.dataset, "annotations": self._masks})
        evaluation = COCOeval(self._truth, predictions, iouType="segm")
        evaluation.params.imgIds = sorted(self._seen)
        with silence():
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        # pycocotools returns -1 where there are no true masks.
        values = (float(value) for value in evaluation.stats[: len(METRICS)])
        return {name: value if value >= 0 else None for name, value in zip(METRICS, values, strict=True)}
