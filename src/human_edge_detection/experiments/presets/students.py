"""The small models: ``baseline``, the undistilled students and ``rgb_hierarchical_unet_v2_distillation_*``.

``..._{student}_from_{teacher}`` teaches by plain KL, ``..._from_{teacher}_{method}`` by another method
(:data:`METHODS`); where student and teacher are one size, the teacher is the undistilled student itself (born-again
networks, arXiv:1805.04770). A distilled experiment is its student plus the distillation section and nothing else, so
the gain over the student is the gain of distillation.

    uv run python run_experiments.py --data_root DATA \
        --configs rgb_hierarchical_unet_v2_student_b0 rgb_hierarchical_unet_v2_distillation_b0_from_b3

trains the B3 teacher (and its pre-training) first, unless it is there; ``--teacher_checkpoint PATH`` uses another.

Recorded, at 128x128 on images (``benchmarks/distillation.md``): mIoU 0.507 distilled, 0.493 without a teacher.
"""

from typing import Any

from human_edge_detection.experiments.presets.hierarchical import MIDDLE, teacher_name
from human_edge_detection.experiments.presets.peopleseg import encoder_name
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive

PLACE = 1
"""Of this module in the list of experiments."""

DEFAULT_NAME = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
"""What ``train_advanced.py`` trains when no experiment is named."""


_OWN_SETTINGS = {("b1", "b3"): {"temperature": 5.0, "alpha": 0.75}}
"""Student and teacher -> where their distillation differs from temperature 4 and alpha 0.7."""


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


def _distilled(size: str, teacher_size: str) -> ExperimentConfig:
    itself = size == teacher_size
    return derive(
        STUDENTS[size],
        name=f"rgb_hierarchical_unet_v2_distillation_{size}_from_{teacher_size}",
        description=f"Student {size.upper()} distilled from "
        + ("the undistilled student: self-distillation." if itself else f"the {teacher_size.upper()} teacher."),
        distillation={
            "teacher_config": STUDENTS[size].name if itself else teacher_name(teacher_size),
            **{"temperature": 4.0, "alpha": 0.7, **_OWN_SETTINGS.get((size, teacher_size), {})},
        },
    )


def _by_method(plain: ExperimentConfig, method: str) -> ExperimentConfig:
    terms, words = METHODS[method]
    return derive(
        plain,
        name=f"{plain.name}_{method}",
        description=f"{plain.description.rstrip('.')}, by {words}.",
        distillation={"terms": terms},
    )


METHODS: dict[str, tuple[list[dict[str, object]], str]] = {
    "dkd": ([{"kind": "dkd"}], "decoupled KL (DKD)"),
    "dist": ([{"kind": "dist"}], "correlation (DIST)"),
    "cwd": ([{"kind": "cwd"}], "channel-wise distributions (CWD)"),
    "std": (
        [{"kind": "std"}, {"kind": "kl", "heads": ["bg_fg", "target_nontarget", "full_image"]}],
        "KL of standardised logits",
    ),
    "bpkd": ([{"kind": "bpkd"}], "KL of border and body (BPKD)"),
    # At weight 1 it held nine tenths of the gradient of the last shared layer, whose output it compares.
    "feat": ([{"kind": "kl"}, {"kind": "feat", "weight": 0.1}], "KL and decoder features"),
    "at": ([{"kind": "kl"}, {"kind": "at"}], "KL and attention transfer"),
}
"""Suffix -> terms, and what they are in words. Two-class heads have no standardised logits, so theirs is plain KL."""

STRENGTHS: dict[str, tuple[str, dict[str, Any]]] = {
    "temp_prog": ("temperature from 4 down to 1", {"temperature_schedule": {"curve": "cosine", "end": 1.0}}),
    "adaptive": ("alpha follows the student's score", {"adaptive_alpha": {}}),
}
"""Suffix -> what changes over the epochs, in words, and how."""


def _with_strength(distilled: ExperimentConfig, suffix: str, text: str, change: dict[str, Any]) -> ExperimentConfig:
    description = f"{distilled.description} {text[0].upper()}{text[1:]}."
    return derive(distilled, name=f"{distilled.name}_{suffix}", description=description, distillation=change)


STUDENTS = {size: _student(size) for size in ("b0", "b1")}
BASELINE = derive(
    STUDENTS["b0"], name="baseline", description="B0 with one plain three-class head.", model={"head": "plain"}
)
_PLAIN = {
    config.name: config
    for config in (_distilled(size, teacher_size) for size in STUDENTS for teacher_size in (size, "b3", "b4", "b7"))
}
EXPERIMENTS = (
    BASELINE,
    *STUDENTS.values(),
    *_PLAIN.values(),
    *(_by_method(_PLAIN[DEFAULT_NAME], method) for method in METHODS),
    *(_with_strength(_PLAIN[DEFAULT_NAME], suffix, *change) for suffix, change in STRENGTHS.items()),
)
