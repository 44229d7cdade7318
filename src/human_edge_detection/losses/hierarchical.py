"""The loss of every head on ground truth, added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from human_edge_detection.experiments.schema.heads import BY_KEY, BY_NAME
from human_edge_detection.experiments.schema.loss import LossConfig
from human_edge_detection.losses.head_losses import LABELS, LOSSES
from human_edge_detection.structures import Batch, LossOutput, LossTerm, SegmentationOutput


class HierarchicalLoss:
    """Sum of all heads' losses on ground truth.

    Args:
        weights: Weight of each head by name; a head without one, or with 0, is left out.
        settings: What the losses of the heads share: weights of classes, of Dice and of borders.
    """

    def __init__(self, weights: Mapping[str, float], settings: LossConfig) -> None:
        self.weights = {name: weight for name, weight in weights.items() if weight > 0.0}
        self.settings = settings

    def __call__(self, output: SegmentationOutput, batch: Batch) -> LossOutput:
        """The loss of one batch; terms of heads that the model lacks are absent.

        Args:
            output: What the model returned.
            batch: Its ground truth, masks at the sizes of ``output``. Images without any are left out, as if they were
                not in the batch: they make no mean smaller.
        """
        return LossOutput(tuple(self._terms(*_labelled_part(output, batch))))

    def _terms(self, output: SegmentationOutput, batch: Batch) -> Iterator[LossTerm]:
        for head in (BY_NAME[name] for name in self.weights):
            found = output.of(head.key)
            if found is None or not len(found):
                continue
            labels = LABELS[head.labels](batch)
            for loss, weight, value in LOSSES[head.loss](head, found, labels, self.settings):
                if weight > 0.0:
                    yield LossTerm(f"{head.name}/{loss}", value, self.weights[head.name] * weight, head.over)


def _labelled_part(output: SegmentationOutput, batch: Batch) -> tuple[SegmentationOutput, Batch]:
    """The outputs and masks of those images and rois that the ground truth speaks of."""
    if batch.labelled is None:
        return output, batch
    images, rois = batch.labelled
    aux = {
        key: values.index_select(0, rois if BY_KEY[key].over == "rois" else images)
        for key, values in output.aux.items()
        if key in BY_KEY
    }
    boxes = None if batch.person_boxes is None else batch.person_boxes.index_select(0, images)
    return SegmentationOutput(output.logits.index_select(0, rois), aux), batch._replace(
        roi_masks=batch.roi_masks.index_select(0, rois),
        person_masks=batch.person_masks.index_select(0, images),
        person_boxes=boxes,
    )
