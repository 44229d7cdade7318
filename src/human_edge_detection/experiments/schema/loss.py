"""The loss section: what is learnt from ground truth, and how much each head counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, create_model

from human_edge_detection.experiments.schema.base import Section, Weight
from human_edge_detection.experiments.schema.heads import HEADS


class BoundaryLossConfig(Section):
    """Boundary-aware cross-entropy: pixels near a mask border weigh more."""

    weight: float = Field(2.0, gt=0.0, description="Added to the weight 1 of a pixel on the border.")
    width: int = Field(2, ge=1, le=16, description="Half width of the border band, pixels of the mask.")


if TYPE_CHECKING:

    class _HeadWeights(Section):
        pass
else:  # names and default weights come from the table of heads
    _HeadWeights = create_model(
        "_HeadWeights",
        __base__=Section,
        **{
            head.name: (Weight, Field(head.loss_weight, description=f"Weight of the loss of {head.meaning}."))
            for head in HEADS
            if not head.optional
        },
    )


class LossConfig(_HeadWeights):
    """The loss on ground truth: cross-entropy + Dice for each head."""

    class_weights: tuple[Weight, Weight, Weight] = (1.0, 1.0, 1.0)
    """Cross-entropy weights of background, target, non-target; ``hed prepare-data`` prints what your data suggests."""
    dice_weight: Weight = 1.0
    """Of the Dice loss beside the cross-entropy, in each head."""
    boundary: BoundaryLossConfig | None = None

    @property
    def head_weights(self) -> dict[str, float]:
        """Weight of each head that is not optional, by name."""
        return {head.name: float(getattr(self, head.name)) for head in HEADS if not head.optional}

    def disagreements(self) -> Iterator[str]:
        """Every rule that concerns more than one number, as ``path: problem``."""
        if sum(self.class_weights) == 0.0:
            yield "loss.class_weights: at least one must be above 0"
