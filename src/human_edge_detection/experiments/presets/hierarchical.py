"""``rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r{R}m{M}_disttrans_contdet_baware``: the teachers.

r is the roi size, m the mask size (height x width); the name without a suffix is EfficientNet-B3, ``_b0`` ... ``_b7``
are the others. The U-Net starts from ``peopleseg_unet_*``; distance transform, contour detection and boundary-aware
loss are on. B4 exists at the middle size only, as a teacher of the distillation experiments.

    uv run python run_experiments.py --data_root DATA \
        --configs rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware

trains ``peopleseg_unet_b3`` first, unless it is there already. Without that pre-training:
``--set model.pretrained_unet_config=null``; with your own: ``--pretrained_unet PATH``.
"""

from human_edge_detection.experiments.presets.peopleseg import encoder_name, peopleseg_name
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config

PLACE = 2
"""Of this module in the list of experiments."""

Size = tuple[int, int]
MIDDLE: tuple[Size, Size] = ((80, 60), (160, 120))
RESOLUTIONS: tuple[tuple[Size, Size], ...] = (((64, 48), (128, 96)), MIDDLE, ((128, 96), (256, 192)))
"""(roi size, mask size), each (height, width)."""


def teacher_name(size: str, roi: Size = MIDDLE[0], mask: Size = MIDDLE[1]) -> str:
    """The member of the family with EfficientNet ``size``, roi and mask sizes as (height, width)."""
    resolution = f"r{roi[0]}x{roi[1]}m{mask[0]}x{mask[1]}"
    suffix = "" if size == "b3" else f"_{size}"
    return f"rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_{resolution}_disttrans_contdet_baware{suffix}"


def _teacher(size: str, roi: Size, mask: Size) -> ExperimentConfig:
    name = teacher_name(size, roi, mask)
    return build_config(
        {
            "name": name,
            "description": f"Hierarchical U-Net {size.upper()}, roi {roi[0]}x{roi[1]}, mask {mask[0]}x{mask[1]}, "
            "with distance, contour, boundary loss.",
            "model": {
                "encoder": encoder_name(size),
                "roi_size": roi,
                "mask_size": mask,
                "contour": {},
                "distance": {},
                "pretrained_unet_config": peopleseg_name(size),
            },
            "loss": {"boundary": {}},
        },
        source=f"experiment {name!r}",
    )


EXPERIMENTS = (
    *(_teacher(size, roi, mask) for size in ("b0", "b1", "b3", "b7") for roi, mask in RESOLUTIONS),
    _teacher("b4", *MIDDLE),
)
