"""The loss section: what is learnt from ground truth, and how much each head counts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from human_edge_detection.experiments.schema.base import Section, Weight


class BoundaryLossConfig(Section):
    """Boundary-aware cross-entropy: pixels near a mask border weigh more."""

    weight: float = Field(2.0, gt=0.0, description="Added to the weight 1 of a pixel on the border.")
    width: int = Field(2, ge=1, le=16, description="Half width of the border band, pixels of the mask.")


class LossConfig(Section):
    """The loss on ground truth: cross-entropy + Dice for each head."""

    class_weights: tuple[Weight, Weight, Weight] = (1.0, 1.0, 1.0)
    """Cross-entropy weights of background, target, non-target; ``hed prepare-data`` prints what your data suggests."""
    dice_weight: Weight = 1.0
    main: Weight = 1.0
    bg_fg: Weight = 0.3
    target_nontarget: Weight = 0.3
    full_image: Weight = 0.5
    boundary: BoundaryLossConfig | None = None

    def disagreements(self) -> Iterator[str]:
        """Every rule that concerns more than one number, as ``path: problem``."""
        if sum(self.class_weights) == 0.0:
            yield "loss.class_weights: at least one must be above 0"
