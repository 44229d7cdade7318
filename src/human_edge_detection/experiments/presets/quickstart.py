"""``quickstart``: teacher, student without and with it, and an edge student, on the embedded sample data.

    uv run python run_experiments.py --configs quickstart --export_onnx

All numbers are in ``_COMMON`` and the two epoch counts below; student and distilled student differ in the distillation
section alone. The edge student is one of another kind, which takes a fraction of their time (see the presets ``edge``).
"""

from typing import Any

from human_edge_detection.experiments.presets.edge import EDGE_MODEL
from human_edge_detection.experiments.schema.experiment import build_config, derive

PLACE = 0
"""Of this module in the list of experiments."""

TEACHER_EPOCHS = 8
STUDENT_EPOCHS = 6
_COMMON: dict[str, Any] = {
    "data": {"sample": {"train_images": 96, "val_images": 32}, "max_rois_per_image": 5, "num_workers": 1},
    "model": {"encoder_weights": "none", "image_size": [96, 96], "roi_size": [32, 24], "mask_size": [64, 48]},
    # What `hed prepare-data` suggests for the training split of the sample data.
    "loss": {"class_weights": [0.748, 0.786, 1.466]},
    "training": {"batch_size": 8, "learning_rate": 2e-3, "visualize_images": 2},
}

_BASE = build_config({"name": "quickstart_base", **_COMMON}, source="the quickstart experiments")

TEACHER = derive(
    _BASE,
    name="quickstart_teacher_b3",
    description="Quickstart: B3 teacher on the sample data.",
    model={"encoder": "timm-efficientnet-b3"},
    training={"epochs": TEACHER_EPOCHS},
)
STUDENT = derive(
    _BASE,
    name="quickstart_student_b0",
    description="Quickstart: B0 student, not distilled: the control.",
    training={"epochs": STUDENT_EPOCHS},
)
DISTILLED = derive(
    STUDENT,
    name="quickstart_distilled_b0_from_b3",
    description="Quickstart: the same student, distilled from the teacher.",
    distillation={"teacher_config": TEACHER.name, "temperature": 4.0, "alpha": 0.7},
)
EDGE = derive(
    DISTILLED,
    name="quickstart_edge_from_b3",
    description="Quickstart: an edge student, distilled from the teacher.",
    model={**EDGE_MODEL, "roi_size": [16, 12]},
)

EXPERIMENTS = (TEACHER, STUDENT, DISTILLED, EDGE)
GROUPS = {"quickstart": tuple(config.name for config in EXPERIMENTS)}
