"""What an exported model takes and gives, in words: for its metadata and for its card."""

from __future__ import annotations

from typing import Final

from human_edge_detection.experiments.schema.model import ModelConfig

_BOX: Final = "index of the image, x1, y1, x2, y2"


def inputs_of(config: ModelConfig) -> dict[str, str]:
    """Inputs by name, of the file that is given boxes."""
    inputs = {"images": "(B, 3, height, width) float32, RGB in [0, 1], the whole image stretched to image_size"}
    if config.head != "none":
        inputs["rois"] = f"(N, 5) float32: {_BOX} of a person box as fractions of the image"
    return inputs


def outputs_of(config: ModelConfig) -> dict[str, str]:
    """Outputs by name, of the same file."""
    outputs = {"binary_masks": "(B, 1, height, width) probability of any person, in [0, 1]"}
    if config.head != "none":
        outputs["masks"] = "(N, 3, height, width) logits of the classes inside each box, at mask_size"
    return outputs


def detector_outputs_of(config: ModelConfig) -> dict[str, str]:
    """Outputs by name, of the file that finds the persons itself; it takes images alone."""
    boxes = f"(N, 5) float32: {_BOX} of a person found, as fractions of the image"
    return {
        **outputs_of(config),
        "boxes": f"{boxes}; image by image, the likeliest first; as the rois of the model that is given boxes",
        "scores": "(N,) probability that there is a person, in [0, 1]",
    }
