"""The small models: ``baseline``, the undistilled students and ``rgb_hierarchical_unet_v2_distillation_*``.

A distilled experiment is its student plus the distillation section and nothing else, so the gain over the student is
the gain of distillation.

    uv run python run_experiments.py --data_root DATA \
        --configs rgb_hierarchical_unet_v2_student_b0 rgb_hierarchical_unet_v2_distillation_b0_from_b3

trains the B3 teacher (and its pre-training) first, unless it is there; ``--teacher_checkpoint PATH`` uses another.
"""

from human_edge_detection.experiments.presets.hierarchical import MIDDLE, teacher_name
from human_edge_detection.experiments.presets.peopleseg import encoder_name
from human_edge_detection.experiments.schema import ExperimentConfig, build_config, derive

DEFAULT_NAME = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
"""What ``train_advanced.py`` trains when no experiment is named."""


def _student(size: str) -> ExperimentConfig:
    name = f"rgb_hierarchical_unet_v2_student_{size}"
    return build_config(
        {
            "name": name,
            "description": f"Hierarchical U-Net {size.upper()}, not distilled: the control.",
            "model": {"encoder": encoder_name(size), "roi_size": MIDDLE[0], "mask_size": MIDDLE[1]},
        },
        source=f"experiment {name!r}",
    )


def _distilled(student: ExperimentConfig, size: str, teacher_size: str) -> ExperimentConfig:
    return derive(
        student,
        name=f"rgb_hierarchical_unet_v2_distillation_{size}_from_{teacher_size}",
        description=f"Student {size.upper()} distilled from the {teacher_size.upper()} teacher.",
        distillation={"teacher_config": teacher_name(teacher_size), "temperature": 4.0, "alpha": 0.7},
    )


STUDENTS = {size: _student(size) for size in ("b0", "b1")}
BASELINE = derive(
    STUDENTS["b0"], name="baseline", description="B0 with one plain three-class head.", model={"head": "plain"}
)
EXPERIMENTS = (
    BASELINE,
    *STUDENTS.values(),
    *(
        _distilled(student, size, teacher_size)
        for size, student in STUDENTS.items()
        for teacher_size in ("b3", "b4", "b7")
    ),
)
