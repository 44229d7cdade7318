"""The loss of every head on ground truth, added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from human_edge_detection.experiments.schema.heads import BY_NAME
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
            batch: Its ground truth, masks at the sizes of ``output``.
        """
        return LossOutput(tuple(self._terms(output, batch)))

    def _terms(self, output: SegmentationOutput, batch: Batch) -> Iterator[LossTerm]:
        for head in (BY_NAME[name] for name in self.weights):
            found = output.of(head.key)
            if found is None:
                continue
            labels = LABELS[head.labels](batch)
            for loss, weight, value in LOSSES[head.loss](head, found, labels, self.settings):
                if weight > 0.0:
                    yield LossTerm(f"{head.name}/{loss}", value, self.weights[head.name] * weight, head.over)
