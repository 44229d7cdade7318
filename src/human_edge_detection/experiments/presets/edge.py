"""Edge students: a small part of the B3 teacher's time.

``b0_edge`` starts from B0's weights: its encoder is Lite0, which is B0 without squeeze-and-excitation, up to stride 16.
``edge_tiny`` has the smallest encoder, MobileNetV4. Both have a feature pyramid instead of the decoder of a U-Net, and
look at rois on a grid of half the sides. A distilled experiment is its student plus the distillation section alone.

    uv run python run_experiments.py --data_root DATA \
        --configs rgb_hierarchical_unet_v2_student_b0_edge rgb_hierarchical_unet_v2_distillation_b0_edge_from_b3

trains the B3 teacher (and its pre-training) first, unless it is there; ``--teacher_checkpoint PATH`` uses another.
``benchmarks/edge.md`` has their speed and what they learn.
"""

from typing import Any

from human_edge_detection.experiments.presets.hierarchical import MIDDLE, teacher_name
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive

PLACE = 4
"""Of this module in the list of experiments."""

EDGE_MODEL: dict[str, Any] = {
    "encoder": "timm-tf_efficientnet_lite0",
    "encoder_depth": 4,
    "decoder": {"kind": "fpn", "channels": 64},
    "feature_stride": 4,
}
TINY_MODEL: dict[str, Any] = {
    "encoder": "tu-mobilenetv4_conv_small",
    "decoder": {"kind": "fpn", "channels": 48},
    "feature_stride": 4,
    "head_channels": 24,
}
_ROI_SIZE = (40, 32)


def _student(name: str, description: str, model: dict[str, Any]) -> ExperimentConfig:
    name = f"rgb_hierarchical_unet_v2_student_{name}"
    return build_config(
        {
            "name": name,
            "description": f"{description}, not distilled: the control.",
            "model": {**model, "detector": {}, "roi_size": _ROI_SIZE, "mask_size": MIDDLE[1]},
        },
        source=f"experiment {name!r}",
    )


def _distilled(student: ExperimentConfig, name: str) -> ExperimentConfig:
    return derive(
        student,
        name=f"rgb_hierarchical_unet_v2_distillation_{name}_from_b3",
        description=student.description.replace(", not distilled: the control.", ", distilled from the B3 teacher."),
        distillation={"teacher_config": teacher_name("b3"), "temperature": 4.0, "alpha": 0.7},
    )


EDGE = _student("b0_edge", "Edge student, B0 as Lite0 with a feature pyramid", EDGE_MODEL)
TINY = _student("edge_tiny", "Tiny edge student, MobileNetV4 with a feature pyramid", TINY_MODEL)
EXPERIMENTS = (EDGE, TINY, _distilled(EDGE, "b0_edge"), _distilled(TINY, "edge_tiny"))
