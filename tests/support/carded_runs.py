"""What a made-up run of a student says of itself, for its model card."""

from collections.abc import Callable
from typing import Any

from human_edge_detection.runs.paths import RunPaths

STUDENT = "rgb_hierarchical_unet_v2_student_b0_edge"
DISTILLED = "rgb_hierarchical_unet_v2_distillation_b0_edge_from_b3"
METRICS = {"miou": 0.5, "iou_target": 0.6, "iou_nontarget": 0.2, "recall10": 0.14, "own_mask_AP50": 0.06}
SOURCES: dict[str, Any] = {
    "train": {"images": 8, "persons": 30, "partly_labelled": 3, "terms": {"CC BY 2.0 (https://a.org/by)": 5, "": 3}},
    "val": {"images": 60, "persons": 150, "partly_labelled": 0, "terms": {"": 60}},
    "encoder": {
        "weights": "lite0.safetensors",
        "sha256": "e" * 64,
        "said": {"license": "Apache-2.0", "origin": "/home/somebody/lite0.pth", "format": "pt"},
    },
}
MakeRun = Callable[..., RunPaths]
