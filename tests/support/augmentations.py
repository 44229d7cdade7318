"""Augmentation with nothing in it but what is named."""

from typing import Any

from human_edge_detection.experiments.schema.data import AugmentationConfig

_NOTHING = {
    "horizontal_flip": 0.0,
    "scale": (1.0, 1.0),
    "translate": 0.0,
    "rotate": 0.0,
    "color": 0.0,
    "blur": 0.0,
    "box_jitter": 0.0,
}


def only(**changes: Any) -> AugmentationConfig:
    """The augmentation that makes these changes and no others."""
    return AugmentationConfig.model_validate(_NOTHING | changes)
